"""Commands about configurations to evaluate: next in the run, or beside it."""

from __future__ import annotations

import contextlib
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nemo_lab.choices import check_choices
from nemo_lab.interruption import Interrupted, check_interrupted, interruptible
from nemo_lab.search import Engine, Ledger, Problem
from nemo_lab.search.species import Bits
from nemo_lab.study.commands.base import Command, Evaluate

MANY = 10_000  # candidates that nobody draws up at once


@dataclass(frozen=True)
class Enqueue(Command):
    """Evaluate hand-made configurations next; those that ``join`` become members of the species, too."""

    action = "enqueue"
    bits: Bits = field(repr=False)
    join: bool = False

    def decide(self, ledger: Ledger, evaluations: int) -> Ledger:  # noqa: D102
        return ledger.note()

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        engine.steering.enqueue(self.bits, self.join)
        return f"{len(self.bits)} configurations" + (", taken in by the species" if self.join else "")

    def sound(self, problem: Problem) -> bool:  # noqa: D102
        whole = self.bits.dtype == np.uint8 and self.bits.shape[1:] == (problem.num_nodes,)
        if not (whole and np.isin(self.bits, problem.bit_widths).all() and type(self.join) is bool):
            return False
        check_choices(self.bits, problem)  # raises a ValueError
        return True

    def call(self, problem: Problem) -> str:  # noqa: D102
        return f"enqueue({self.bits.tolist()}{', join=True' if self.join else ''})"


@dataclass(frozen=True)
class Prepare(Command):
    """Draw up the first population, and the next candidates; all that are out wait again, to be evaluated
    when the run goes on.

    A run leaves them so where evaluations fail or are stopped: the record has to know.
    """  # noqa: D205

    action = "prepare"
    decides = False
    candidates: int = 0

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        engine.begin()
        for _ in range(self.candidates):
            engine.ask()
        waiting = engine.out
        for candidate in reversed(waiting):
            engine.give_back(candidate)
        return f"{len(waiting)} candidates drawn up"

    def sound(self, problem: Problem) -> bool:  # noqa: D102
        return type(self.candidates) is int and 0 <= self.candidates <= MANY

    def call(self, problem: Problem) -> str:  # noqa: D102
        return f"prepare({self.candidates})"


@dataclass(frozen=True)
class Foresee(Command):
    """Tell the search what each node at each width is expected to harm, float64[Q, W]: numbers that a run
    has from the problem, and that going through it again must have without.
    """  # noqa: D205

    action = "foresee"
    decides = False
    sensitivity: NDArray[np.float64] = field(repr=False)

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        engine.state.sensitivity = self.sensitivity
        return f"the sensitivity of {len(self.sensitivity)} nodes"

    def sound(self, problem: Problem) -> bool:  # noqa: D102
        shape = (problem.num_nodes, len(problem.bit_widths))
        table = self.sensitivity
        return table.dtype == np.float64 and table.shape == shape and bool((table >= 0).all())


@dataclass(frozen=True)
class WhatIf(Command):
    """Evaluate a configuration beside the search; a failure goes to the one who asked.

    Who no longer wants the answer cancels it.
    """

    decides = False
    bits: Bits = field(repr=False)
    answer: Future[NDArray[np.float64]] = field(default_factory=Future)

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


EVALUATION_COMMANDS: tuple[type[Command], ...] = (Enqueue, Prepare, Foresee)
