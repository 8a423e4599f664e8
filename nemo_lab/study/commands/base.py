"""What a command is: one steer as plain data, checked when made, applied between two evaluations."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nemo_lab.search import Engine, Ledger, Problem
from nemo_lab.search.species import Bits

Evaluate = Callable[[Bits], NDArray[np.float64]]


@dataclass(frozen=True)
class Command:
    """A request to the owner of the engine. Its fields are plain numbers, texts and arrays, for the journal.

    Attributes:
        action: the name in the log, empty where it changes nothing of the search.
        decides: whether it changes what is in force, so that it does nothing where ``decide`` does not.
        undoable: whether ``undo`` takes it back.
    """

    action: ClassVar[str] = ""
    decides: ClassVar[bool] = True
    undoable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for one in dataclasses.fields(self):
            value = getattr(self, one.name)
            if isinstance(value, str):
                object.__setattr__(self, one.name, plain(value))

    def decide(self, ledger: Ledger, evaluations: int) -> Ledger:
        """What is in force after it: the rule that live run, history, script and resumed run share.

        Args:
            ledger: before it.
            evaluations: made before it.

        Returns:
            the ledger after it, the same object if there is nothing that it can do.
        """
        return ledger

    def resolved(self, ledger: Ledger) -> Command:
        """The same with everything in it that depends on what is in force when it takes effect."""
        return self

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:
        """Carry it out on the engine, as ``decide`` says; returns what was done, for the log."""
        raise NotImplementedError

    def call(self, problem: Problem) -> str:
        """The same as Python, from the name of a method of ``Study`` on."""
        raise NotImplementedError

    def sound(self, problem: Problem) -> bool:
        """Whether the fields are of a kind that ``Study`` lets through; asked of those from a file."""
        return True

    @property
    def arguments(self) -> dict[str, Any]:
        """The fields as the journal has them: mappings as lists of pairs."""
        fields = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        return {
            name: {"pairs": [list(pair) for pair in value.items()]} if isinstance(value, Mapping) else value
            for name, value in fields.items()
        }


def plain(text: str) -> str:
    """A text of Python's own class, which a script can write, whatever class of text it is.

    >>> plain(np.str_("conv"))
    'conv'
    """
    return "".join(text)


def within(positions: Iterable[Any], count: int) -> bool:
    """Whether all are positions among ``count``."""
    return all(type(one) is int and 0 <= one < count for one in positions)


def numbers(values: Iterable[Any]) -> bool:
    """Whether all are plain finite numbers."""
    return all(type(one) in (int, float) and abs(one) < math.inf for one in values)
