"""Domains of arguments: each declared once, beside the argument it belongs to, and all checked in one way.

A domain says in words what it takes, and ``check`` gives the value as plain Python has it. Numbers of NumPy
and torch are numbers; booleans, texts, NaN and infinity are none.

>>> Whole(1).check("workers", 4)
4
>>> Number(0, 1, open="low").check("fraction", 2)
Traceback (most recent call last):
    ...
nemo_lab.errors.ArgumentError: fraction=2; give a number above 0 and up to 1
"""

from __future__ import annotations

import errno
import math
import operator
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Generic, Literal, TypeVar

from nemo_lab.errors import ArgumentError, shown

T = TypeVar("T")
RAW = (str, bytes, bytearray, memoryview)  # sequences that nobody means as a list


@dataclass(frozen=True)
class Domain(ABC, Generic[T]):
    """What an argument may be.

    Attributes:
        words: the domain as it follows "give"; by default each says it itself.
    """

    words: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", self.words or self.described())

    def described(self) -> str:
        """The domain in words, where no others were given."""
        return ""

    @abstractmethod
    def clean(self, value: Any) -> T:
        """The value as plain Python has it; raises any exception outside of the domain."""

    def check(self, name: str, value: Any) -> T:
        """The value of an argument of that name, as plain Python has it.

        Raises:
            ArgumentError: outside of the domain; says the value and the domain.
        """
        try:
            return self.clean(value)
        except Exception:  # also what the value's own methods raise
            raise ArgumentError(f"{name}={shown(value)}", f"give {self.words}") from None


@dataclass(frozen=True)
class Whole(Domain[int]):
    """Whole numbers from ``least`` to ``most``, both included."""

    least: int = 0
    most: int | None = None

    def described(self) -> str:
        """The domain in words."""
        if self.most is None:
            return f"a whole number of at least {self.least}"
        return f"a whole number from {self.least} to {self.most}"

    def clean(self, value: Any) -> int:
        """An int."""
        number = operator.index(_scalar(value))
        _require(self.least <= number and (self.most is None or number <= self.most))
        return number


@dataclass(frozen=True)
class Number(Domain[float]):
    """Finite numbers from ``low`` to ``high``; ``open`` names the ends that do not belong to them."""

    low: float = -math.inf
    high: float = math.inf
    open: Literal["", "low", "high", "both"] = ""

    def described(self) -> str:
        """The domain in words."""
        above, below = self.open in ("low", "both"), self.open in ("high", "both")
        if not above and not below and math.isfinite(self.low) and math.isfinite(self.high):
            return f"a number from {self.low:g} to {self.high:g}"
        low = f"{'above' if above else 'of at least'} {self.low:g}" if math.isfinite(self.low) else ""
        high = f"{'below' if below else 'up to'} {self.high:g}" if math.isfinite(self.high) else ""
        return f"a number {' and '.join(filter(None, (low, high)))}" if low or high else "a finite number"

    def clean(self, value: Any) -> float:
        """A float."""
        number = float(_scalar(value))
        _require(math.isfinite(number) and self.low <= number <= self.high)
        _require(number > self.low or self.open not in ("low", "both"))
        _require(number < self.high or self.open not in ("high", "both"))
        return number


@dataclass(frozen=True)
class Choice(Domain[str]):
    """One of a few names."""

    values: tuple[str, ...]

    def described(self) -> str:
        """The domain in words."""
        *others, last = map(repr, self.values)
        return f"{', '.join(others)} or {last}" if others else last

    def clean(self, value: Any) -> str:
        """The name."""
        _require(isinstance(value, str))
        return self.values[self.values.index(value)]


@dataclass(frozen=True)
class Flag(Domain[bool]):
    """True or False, of Python or NumPy."""

    words: str = field(default="True or False", kw_only=True)

    def clean(self, value: Any) -> bool:
        """A bool."""
        plain = value.item() if hasattr(value, "dtype") else value
        _require(isinstance(plain, bool))
        return bool(plain)


@dataclass(frozen=True)
class Text(Domain[str]):
    """A text that is not blank and can be written to a file."""

    words: str = field(default="a text that is not blank", kw_only=True)

    def clean(self, value: Any) -> str:
        """The text."""
        _require(isinstance(value, str) and bool(value.strip()))
        value.encode()  # a lone surrogate is not text to a file
        return str(value)


@dataclass(frozen=True)
class File(Domain[str]):
    """The path of a file, as a text or a path object."""

    words: str = field(default="the path of a file", kw_only=True)

    def clean(self, value: Any) -> str:
        """The path as a text."""
        path = os.fspath(value)
        _require(isinstance(path, str) and path != "" and "\0" not in path)
        _require(not path.startswith((":memory:", "file:")))  # no file to SQLite, but one to Python
        os.fsencode(path)
        try:
            os.lstat(path)
        except OSError as error:
            _require(error.errno != errno.ENAMETOOLONG)
        return str(path)


@dataclass(frozen=True)
class Instance(Domain[T]):
    """An object of a class."""

    kind: type[T]

    def described(self) -> str:
        """The domain in words."""
        name = self.kind.__name__
        return f"{'an' if name[0] in 'AEIO' else 'a'} {name}"

    def clean(self, value: Any) -> T:
        """The object itself."""
        _require(isinstance(value, self.kind))
        found: T = value
        return found


@dataclass(frozen=True)
class OrNone(Domain[T | None]):
    """None, or what another domain takes."""

    domain: Domain[T]

    def described(self) -> str:
        """The domain in words."""
        return f"{self.domain.words}, or None"

    def clean(self, value: Any) -> T | None:
        """None, or what the other makes of it."""
        return None if value is None else self.domain.clean(value)


@dataclass(frozen=True)
class Several(Domain[tuple[T, ...]]):
    """A sequence of ``least`` to ``most`` values of one domain, which may have to ascend or to differ."""

    domain: Domain[T]
    least: int = 0
    most: int | None = None
    ascending: bool = False
    distinct: bool = False

    def described(self) -> str:
        """The domain in words."""
        many = f"{self.least} values" if self.least == self.most else "a list"
        return f"{many}, {'in ascending order, ' if self.ascending else ''}each {self.domain.words}"

    def clean(self, value: Any) -> tuple[T, ...]:
        """A tuple."""
        _require(isinstance(value, Iterable) and not isinstance(value, (*RAW, Mapping)))
        values = tuple(map(self.domain.clean, value))
        _require(self.least <= len(values) and (self.most is None or len(values) <= self.most))
        _require(not self.ascending or all(a <= b for a, b in pairwise(values)))  # type: ignore[operator]
        _require(not self.distinct or len(set(values)) == len(values))
        return values


MANY = 10**6  # more than any number of examples or members is of use
COUNT = Whole(1, MANY, words="a whole number of at least 1, up to a million")
FROM_ZERO = Whole(0, MANY, words="a whole number of at least 0, up to a million")
PROBABILITY = Number(0, 1, words="a probability, from 0 to 1")


def _scalar(value: Any) -> Any:
    """A single number: Python's own for one of NumPy or torch."""
    if hasattr(value, "dtype"):
        _require(not value.ndim)
        value = value.item()
    _require(not isinstance(value, (*RAW, bool, complex)))
    return value


def _require(holds: bool) -> None:
    if not holds:
        raise ValueError
