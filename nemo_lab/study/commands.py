"""What callers may ask of a run: checked when made, applied between two evaluations."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nemo_lab.interruption import Interrupted, check_interrupted, interruptible
from nemo_lab.search import Engine
from nemo_lab.search.species import Bits

Evaluate = Callable[[Bits], NDArray[np.float64]]


class Command(Protocol):
    """A request to the owner of the engine; ``action`` is empty where it steers nothing."""

    @property
    def action(self) -> str:
        """The name in the log."""
        ...

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:
        """Carry it out; returns what was done, for the log."""
        ...


@dataclass(frozen=True)
class Pin:
    """Fix nodes at widths."""

    pins: dict[int, int]
    action: str = "pin"

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        projected = engine.pin(self.pins)
        names = engine.problem.node_names
        listed = ", ".join(f"{names[node]} = {width}" for node, width in self.pins.items())
        return f"{listed}; {projected} front members projected"


@dataclass(frozen=True)
class Unpin:
    """Free nodes."""

    nodes: tuple[int, ...]
    action: str = "unpin"

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        engine.unpin(self.nodes)
        return ", ".join(engine.problem.node_names[node] for node in self.nodes)


@dataclass(frozen=True)
class Constrain:
    """Put limits on objectives, in place of those before."""

    limits: dict[int, float]
    action: str = "constrain"

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        engine.constrain(self.limits)
        names = engine.problem.objective_names
        return ", ".join(f"{names[k]} <= {limit:.6g}" for k, limit in self.limits.items()) or "nothing"


@dataclass(frozen=True)
class Aspire:
    """Concentrate on a box of objectives, in place of the one before."""

    box: dict[int, tuple[float, float]]
    action: str = "aspire"

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        engine.aspire(self.box)
        names = engine.problem.objective_names
        return ", ".join(f"{names[k]} {a:.6g} to {b:.6g}" for k, (a, b) in self.box.items()) or "everything"


@dataclass(frozen=True)
class Reseed:
    """Replace the worst part of a species."""

    species: int
    source: str
    fraction: float
    action: str = "reseed"

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        source = self.source if len(engine.front) else "random"
        count = engine.reseed(self.species, source, self.fraction)
        return f"{engine.species[self.species].name} from {source}, {count} members"


@dataclass(frozen=True)
class Enqueue:
    """Evaluate hand-made configurations next."""

    bits: Bits = field(repr=False)
    action: str = "enqueue"

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        engine.enqueue(self.bits)
        return f"{len(self.bits)} configurations"


@dataclass(frozen=True)
class Prepare:
    """Make the first population, which loads what the species need."""

    action: str = ""

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        engine.begin()
        return ""


@dataclass(frozen=True)
class WhatIf:
    """Evaluate a configuration beside the search; a failure goes to the one who asked.

    Who no longer wants the answer cancels it.
    """

    bits: Bits = field(repr=False)
    answer: Future[NDArray[np.float64]] = field(default_factory=Future)
    action: str = ""

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        with contextlib.suppress(InvalidStateError):  # of an answer that was cancelled meanwhile
            try:
                with interruptible(self.answer.cancelled):
                    check_interrupted()
                    self.answer.set_result(evaluate(self.bits))
            except BaseException as error:
                self.answer.set_exception(error)
                if not isinstance(error, Exception | Interrupted):
                    raise
        return ""
