"""Scales on which objectives are read, and how their numbers are written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nemo_lab.arguments import Flag, Instance, Number

TEXT = Instance(str, words="a text")
OFFSET, EXPONENTIAL = Number(), Flag()
LEAST = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class _Factor(Number):
    """A number that can be divided by."""

    words: str = field(default="a finite number other than 0", kw_only=True)

    def clean(self, value: Any) -> float:
        """A float other than 0."""
        number = super().clean(value)
        if number == 0:
            raise ValueError
        return number


FACTOR = _Factor()


@dataclass(frozen=True)
class Format:
    """How the numbers of an objective are written.

    Attributes:
        name: ``"number"`` or ``"percent"``.
        exact: in tables, Python's format; empty for what ``number`` makes of it.
        brief: beside axes and in intervals, Python's format.
        hover: under the mouse, Bokeh's format.
        ticks: of axes, Bokeh's format; empty for Bokeh's own choice.
    """

    name: str
    exact: str
    brief: str
    hover: str
    ticks: str


NUMBER = Format("number", "", ".3g", "0.0000", "")
PERCENT = Format("percent", ".2%", ".1%", "0.0 %", "0 %")
FORMATS = {one.name: one for one in (NUMBER, PERCENT)}


@dataclass(frozen=True)
class Scale:
    """A scale on which an objective is read: shown = offset + factor * stored, or its exponential.

    Attributes:
        name: under which limits on this scale may be written, such as ``model_mb``; empty for none.
        offset, factor: of the line; a factor below 0 means that larger is better.
        sign: written after a number, such as ``MB``.
        thousandth: sign of the thousandth, for small numbers, such as ``kB``.
        exponential: whether e to the power of the line is shown, such as the perplexity of a log-likelihood.

    Raises:
        ArgumentError: if it cannot be inverted.

    >>> accuracy = Scale("accuracy", 1, -1)
    >>> accuracy.of(0.25), accuracy.stored(0.75), accuracy.larger_is_better
    (0.75, 0.25, True)
    >>> f"{Scale('perplexity', exponential=True).of(1.25):.2f}"
    '3.49'
    """

    name: str = ""
    offset: float = 0.0
    factor: float = 1.0
    sign: str = ""
    thousandth: str = ""
    exponential: bool = False

    def __post_init__(self) -> None:
        for name in ("name", "sign", "thousandth"):
            TEXT.check(name, getattr(self, name))
        for name, domain in (("offset", OFFSET), ("factor", FACTOR)):
            object.__setattr__(self, name, domain.check(name, getattr(self, name)))
        EXPONENTIAL.check("exponential", self.exponential)

    @property
    def larger_is_better(self) -> bool:
        """Whether it turns round what is minimised."""
        return self.factor < 0

    def of(self, stored: Any) -> Any:
        """Numbers or an array, as evaluated, on this scale."""
        line = self.offset + self.factor * stored
        return np.exp(line) if self.exponential else line

    def stored(self, shown: Any) -> Any:
        """The inverse of ``of``; where an exponential is below all that there are, of the least positive."""
        line = np.log(np.maximum(shown, LEAST)) if self.exponential else shown
        return (line - self.offset) / self.factor

    def text(self, stored: float) -> str:
        """With its sign: ``1.25 MB``, or ``52.1 kB`` where that is the thousandth."""
        shown = self.of(stored)
        if self.thousandth and abs(shown) < 1:
            return f"{1000 * shown:.4g} {self.thousandth}"
        return f"{shown:,.2f} {self.sign}".rstrip()


PLAIN = Scale()
