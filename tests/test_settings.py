"""What an object was told: under whatever names it keeps it, and not what it counts or keeps as it works."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import threading
import time
import types
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest

from nemo_lab.settings import arguments_kept
from tests.toy import ToyProblem


class Kept:
    def __init__(self, strength: float, table: Any = None) -> None:
        self.strength = strength
        self.calls = 0


@dataclass
class Weighted:
    weight: float = 1.0


class Private(ToyProblem):
    def __init__(self, scale: Any) -> None:
        super().__init__()
        self._scale = scale


class Mangled(ToyProblem):
    def __init__(self, scale: Any) -> None:
        super().__init__()
        self.__scale = scale


class Inside(ToyProblem):
    def __init__(self, scale: Any) -> None:
        super().__init__()
        self._told = {"scales": [scale]}


class Keywords(ToyProblem):
    def __init__(self, **told: Any) -> None:
        super().__init__()
        self.__dict__.update(told)


class Positions(ToyProblem):
    def __init__(self, *told: Any) -> None:
        super().__init__()
        self._told = told


class Slot(ToyProblem):
    __slots__ = ("_scale",)

    def __init__(self, scale: Any) -> None:
        super().__init__()
        self._scale = scale


class Hides:
    """Pickle would save nothing of it."""

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def __getstate__(self) -> Any:
        return {}


class Holds(ToyProblem):
    """Something counts as a setting that another method changes, or that is only read."""

    def __init__(self, scale: Any) -> None:
        super().__init__()
        self.set_scale(scale)

    def set_scale(self, scale: Any) -> None:
        self._scale, self._table = 0.0, [0.0]
        self._scale += scale
        self._table[0] = scale

    def evaluate(self, bits: Any) -> Any:
        found = super().evaluate(bits)
        found[:, 0] *= self._scale * self._table[0]
        return found


def later(**values: Any) -> ToyProblem:
    made = ToyProblem()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def halved(problem: ToyProblem, bits: Any, by: float = 0.5) -> Any:
    return ToyProblem.evaluate(problem, bits) * by


def bound() -> ToyProblem:
    made = ToyProblem()
    made.evaluate = types.MethodType(halved, made)  # type: ignore[method-assign]
    return made


def calling_itself() -> ToyProblem:
    made = ToyProblem()
    made.evaluate = lambda bits: halved(made, bits)  # type: ignore[method-assign]
    return made


DIFFERENT: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "a private name": (lambda: Private(1.0), lambda: Private(2.0)),
    "1 and 1.0": (lambda: Private(1), lambda: Private(1.0)),
    "arrays": (lambda: Private(np.arange(3)), lambda: Private(np.arange(3) + 1)),
    "objects": (lambda: Private(Kept(1.0)), lambda: Private(Kept(2.0))),
    "objects that hide it": (lambda: Private(Hides(1.0)), lambda: Private(Hides(2.0))),
    "functions": (lambda: Private(np.sin), lambda: Private(np.cos)),
    "a mangled name": (lambda: Mangled(1.0), lambda: Mangled(2.0)),
    "in containers": (lambda: Inside(1.0), lambda: Inside(2.0)),
    "keywords": (lambda: Keywords(f=1.0), lambda: Keywords(f=2.0)),
    "positions": (lambda: Positions(1.0, 2.0), lambda: Positions(2.0, 1.0)),
    "in a slot": (lambda: Slot(1.0), lambda: Slot(2.0)),
    "changed by other methods": (lambda: Holds(1.0), lambda: Holds(2.0)),
    "set later": (ToyProblem, lambda: later(sensitivity=np.ones(6))),
    "new attributes": (ToyProblem, lambda: later(_scale=2.0)),
    "evaluate of its own": (ToyProblem, calling_itself),
    "a bound function": (ToyProblem, bound),
    "another function": (
        lambda: later(evaluate=partial(halved, ToyProblem())),
        lambda: later(evaluate=partial(halved, ToyProblem(), by=0.25)),
    ),
    "other costs": (ToyProblem, lambda: later(costs=lambda bits: np.ones((len(bits), 2)))),
}


@pytest.mark.parametrize("pair", DIFFERENT.values(), ids=DIFFERENT)
def test_what_a_problem_was_told_is_in_its_fingerprint(
    pair: tuple[Callable[[], Any], Callable[[], Any]],
) -> None:
    first, second = (make().fingerprint() for make in pair)
    assert first != second
    assert [first, second] == [make().fingerprint() for make in pair]


class Works(ToyProblem):
    """One that counts, keeps what it found, and has tools to work with."""

    def __init__(self, file: IO[str], scale: float = 1.0) -> None:
        super().__init__()
        self._scale = scale
        self._cache: dict[bytes, Any] = {}
        self._found: dict[bytes, list[float]] = {}
        self._asked: list[int] = []
        self._last: deque[int] = deque(maxlen=3)
        self._much = np.zeros(3)
        self._rows = 0
        self.lock, self.begun, self.own = threading.Lock(), threading.Event(), threading.local()
        self.log = file
        self.began, self.name = time.time(), f"run {uuid.uuid4()}"
        self.began_again = time.time()
        self.descriptor = None if file is None else os.dup(file.fileno())

    def evaluate(self, bits: Any) -> Any:
        rows = np.atleast_2d(bits)
        with self.lock:
            self._note(rows)
            self._rows += len(rows)
            key = rows.tobytes()
            if key not in self._cache:
                self._cache[rows.tobytes()] = super().evaluate(rows) * self._scale
            self._found.setdefault(key, []).append(1.0)
            self.log.write("one more\n")
            self.begun.set()
            return self._cache[key].copy()

    def _note(self, rows: Any) -> None:
        self._asked.append(len(rows))
        self._last.append(len(rows))
        self._much[0] += len(rows)


def test_what_it_counts_and_keeps_as_it_works_is_not(tmp_path: Path) -> None:
    with (tmp_path / "1.txt").open("w") as file, (tmp_path / "2.txt").open("w") as other:
        compare(file, other)


def compare(file: IO[str], other: IO[str]) -> None:
    problem = Works(file)
    before = problem.fingerprint()
    for width in (2, 4, 8):
        problem.evaluate(np.full((1, 6), width))
    assert problem.calls == len(vars(problem)["_cache"]) == 3
    assert problem.fingerprint() == before == Works(other).fingerprint()
    assert Works(file, scale=2.0).fingerprint() != before


MADE_AGAIN = """
from tests.test_settings import DIFFERENT
for name, pair in DIFFERENT.items():
    print(name, [make().fingerprint()["code"] for make in pair])
"""


def test_another_process_finds_the_same() -> None:
    runs = [
        subprocess.run([sys.executable, "-c", MADE_AGAIN], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    here = [f"{name} {[make().fingerprint()['code'] for make in pair]}" for name, pair in DIFFERENT.items()]
    assert runs[0].splitlines() == runs[1].splitlines() == here


def test_arguments_that_are_kept() -> None:
    kept = Kept(0.5, table=3)
    kept.calls = 7
    assert arguments_kept(kept) == {"strength": 0.5}
    assert arguments_kept(Weighted(2.0)) == {"weight": 2.0}
    assert arguments_kept(object()) == {}


class ByProperty:
    def __init__(self, scale: float) -> None:
        self._scale = scale

    @property
    def scale(self) -> float:
        return self._scale


class InASlot:
    __slots__ = ("scale",)

    def __init__(self, scale: float) -> None:
        self.scale = scale


@pytest.mark.parametrize("kind", [ByProperty, InASlot])
def test_what_an_object_was_made_with_is_found_wherever_it_keeps_it(kind: Any) -> None:
    assert arguments_kept(kind(2.0)) == {"scale": 2.0}


def test_code_that_another_thread_takes_apart_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python up to 3.11.8 fails in one of two threads that parse at once, such as a cell beside a report."""

    class Counting(ToyProblem):
        counted = 0

        def evaluate(self, bits: Any) -> Any:
            self.counted += 1
            return super().evaluate(bits)

    parse, left = ast.parse, [3]

    def disturbed(*args: Any, **options: Any) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            raise SystemError("AST constructor recursion depth mismatch (before=42, after=33)")
        return parse(*args, **options)

    problem = Counting()
    monkeypatch.setattr(ast, "parse", disturbed)
    before = problem.fingerprint()
    assert left[0] < 0
    problem.evaluate([[8] * 6])
    assert problem.fingerprint() == before  # it was seen to count
