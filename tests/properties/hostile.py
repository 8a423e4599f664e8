"""Values that people and programs give by mistake, each made anew whenever it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd


class Spiteful:
    """Raises whatever it is asked."""

    def _no(self, *_: object) -> Any:
        raise RuntimeError("no")

    __index__ = __float__ = __int__ = __eq__ = __iter__ = __len__ = __getitem__ = __fspath__ = __bool__ = _no
    __contains__ = __array__ = __repr__ = __str__ = __lt__ = __call__ = _no
    __hash__ = object.__hash__


class Endless:
    """A sequence that fails half-way."""

    def __iter__(self) -> Iterator[Any]:
        yield "layer0.input"
        raise OSError("the disk went away")


def raising(*_: object, **__: object) -> Any:
    """A function that fails."""
    raise RuntimeError("no")


VALUES: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "True": lambda: True,
    "False": lambda: False,
    "-1": lambda: -1,
    "0": lambda: 0,
    "1": lambda: 1,
    "2.5": lambda: 2.5,
    "NaN": lambda: float("nan"),
    "infinity": lambda: float("inf"),
    "1j": lambda: 1j,
    "10**400": lambda: 10**400,
    "-10**5000": lambda: -(10**5000),
    "''": lambda: "",
    "blanks": lambda: " " * 20_000,
    "a name of 300 characters": lambda: "x" * 300,
    "a deep path": lambda: "/".join(["y" * 200] * 30),
    "a zero byte": lambda: "a\0b",
    "a lone surrogate": lambda: "\ud800",
    "right to left": lambda: "\u202elayer0",
    "a glob that never ends": lambda: "*a" * 300,
    "brackets": lambda: "[" * 5_000,
    "a constraint with blanks": lambda: "loss" + " " * 20_000 + "<=" + " " * 20_000,
    "many signs": lambda: "<" * 20_000,
    ":memory:": lambda: ":memory:",
    "file:": lambda: "file:x.sqlite?mode=memory",
    "b'x'": lambda: b"x",
    "a bytearray": lambda: bytearray(b"\x01\x02"),
    "a memoryview": lambda: memoryview(b"\x01\x02"),
    "[]": list,
    "{}": dict,
    "set()": set,
    "[[[]]]": lambda: [[[]]],
    "[None]": lambda: [None],
    "['no such thing']": lambda: ["no such thing"],
    "{3: 4}": lambda: {3: 4},
    "{'layer0': object}": lambda: {"layer0": object()},
    "rows of two lengths": lambda: [[1], [1, 2]],
    "a generator": lambda: (one for one in ("layer0.input", 3)),
    "a failing iterator": Endless,
    "an empty array": lambda: np.empty((0, 6)),
    "an array of floats": lambda: np.array([[1.5, np.nan]]),
    "a complex array": lambda: np.full(6, 4 + 1j),
    "an object array": lambda: np.array([object()] * 6),
    "a masked array": lambda: np.ma.masked_array(np.full(6, 4), mask=[True] + [False] * 5),
    "an array of text": lambda: np.array(["x"] * 6),
    "an array of dates": lambda: np.array(["2020-01-01"] * 6, dtype="M8[D]"),
    "a number of NumPy": lambda: np.float32(0.5),
    "a series": lambda: pd.Series({"layer0.input": 4}),
    "a table": lambda: pd.DataFrame({"a": [1]}),
    "a class": lambda: int,
    "an object": object,
    "a spiteful object": Spiteful,
    "a function that fails": lambda: raising,
    "a function": lambda: lambda *_: 3,
}
