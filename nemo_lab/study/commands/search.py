"""What callers may ask of a run: checked when made, applied between two evaluations, kept in the journal."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nemo_lab.errors import StorageError
from nemo_lab.interruption import Interrupted, check_interrupted, interruptible
from nemo_lab.search import Engine, Problem
from nemo_lab.search.constraints import Pins, checked_width
from nemo_lab.search.species import Bits, Species
from nemo_lab.study.parsing.nodes import listed_nodes, listed_pins

MANY = 10_000  # candidates that nobody draws up at once
Evaluate = Callable[[Bits], NDArray[np.float64]]


@dataclass(frozen=True)
class Command:
    """A request to the owner of the engine. Its fields are plain numbers, texts and arrays, for the journal.

    Attributes:
        action: the name in the log, empty where it steers nothing.
        undoable: whether it can be undone.
    """

    action: ClassVar[str] = ""
    undoable: ClassVar[bool] = True

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:
        """Carry it out; returns what was done, for the log."""
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


@dataclass(frozen=True)
class Pin(Command):
    """Fix nodes at widths, or in ranges; ``matching`` says how they were chosen, where they are many."""

    action = "pin"
    pins: Pins
    matching: str = ""

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        projected = engine.pin(self._pins)
        listed = listed_pins(self._pins, engine.problem.node_names, self.matching)
        return f"{listed}; {projected} front members projected"

    def sound(self, problem: Problem) -> bool:  # noqa: D102
        for width in self.pins.values():
            checked_width(width, tuple(problem.bit_widths))  # raises a ValueError
        return isinstance(self.matching, str) and _within(self.pins, problem.num_nodes)

    def call(self, problem: Problem) -> str:  # noqa: D102
        return f"pin({ {problem.node_names[node]: width for node, width in self._pins.items()} })"

    @property
    def _pins(self) -> Pins:
        """A journal has ranges as lists."""
        return {node: tuple(width) if isinstance(width, list) else width for node, width in self.pins.items()}


@dataclass(frozen=True)
class Unpin(Command):
    """Free nodes."""

    action = "unpin"
    nodes: Sequence[int]

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        engine.unpin(self.nodes)
        return listed_nodes(self.nodes, engine.problem.node_names)

    def sound(self, problem: Problem) -> bool:  # noqa: D102
        return _within(self.nodes, problem.num_nodes)

    def call(self, problem: Problem) -> str:  # noqa: D102
        names = [problem.node_names[node] for node in self.nodes]
        return f"unpin({names})" if names else "unpin()"


@dataclass(frozen=True)
class Constrain(Command):
    """Put limits on objectives, in place of those before."""

    action = "constrain"
    limits: Mapping[int, float]

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        engine.constrain(self.limits)
        names = engine.problem.objective_names
        return ", ".join(f"{names[k]} <= {limit:.6g}" for k, limit in self.limits.items()) or "nothing"

    def sound(self, problem: Problem) -> bool:  # noqa: D102
        return _within(self.limits, len(problem.objective_names)) and _numbers(self.limits.values())

    def call(self, problem: Problem) -> str:  # noqa: D102
        names = problem.objective_names
        texts = [repr(f"{names[k]} <= {limit!r}") for k, limit in self.limits.items()]
        return f"constrain({', '.join(texts)})"


@dataclass(frozen=True)
class Aspire(Command):
    """Concentrate on a box of objectives, in place of the one before."""

    action = "aspire"
    box: Mapping[int, tuple[float, float]]

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        engine.aspire({k: (low, high) for k, (low, high) in self.box.items()})
        names = engine.problem.objective_names
        return ", ".join(f"{names[k]} {a:.6g} to {b:.6g}" for k, (a, b) in self.box.items()) or "everything"

    def sound(self, problem: Problem) -> bool:  # noqa: D102
        boxes = all(len(box) == 2 and _numbers(box) for box in self.box.values())
        return boxes and _within(self.box, len(problem.objective_names))

    def call(self, problem: Problem) -> str:  # noqa: D102
        names = problem.objective_names
        return f"aspire(**{ {names[k]: tuple(box) for k, box in self.box.items()} })"


@dataclass(frozen=True)
class Enqueue(Command):
    """Evaluate hand-made configurations next."""

    action = "enqueue"
    bits: Bits = field(repr=False)

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        engine.enqueue(self.bits)
        return f"{len(self.bits)} configurations"

    def sound(self, problem: Problem) -> bool:  # noqa: D102
        whole = self.bits.dtype == np.uint8 and self.bits.shape[1:] == (problem.num_nodes,)
        return bool(whole and np.isin(self.bits, problem.bit_widths).all())

    def call(self, problem: Problem) -> str:  # noqa: D102
        return f"enqueue({self.bits.tolist()})"


@dataclass(frozen=True)
class Budget(Command):
    """Change at how many evaluations the run ends."""

    action = "budget"
    evaluations: int

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        wanted = max(self.evaluations, len(engine.evaluations))  # more may have been made meanwhile
        engine.set_budget(wanted)
        return f"{wanted} evaluations in all"

    def sound(self, problem: Problem) -> bool:  # noqa: D102
        return type(self.evaluations) is int and self.evaluations > 0

    def call(self, problem: Problem) -> str:  # noqa: D102
        return f"set_budget({self.evaluations})"


@dataclass(frozen=True)
class Undo(Command):
    """Take back the latest steer that stands."""

    action = "undo"
    undoable = False

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        return engine.undo() if engine.undoable else "nothing was left to undo"

    def call(self, problem: Problem) -> str:  # noqa: D102
        return "undo()"


@dataclass(frozen=True)
class Redo(Command):
    """Make the steer again that was undone last."""

    action = "redo"
    undoable = False

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        return engine.redo() if engine.undone else "nothing was left to redo"

    def call(self, problem: Problem) -> str:  # noqa: D102
        return "redo()"


@dataclass(frozen=True)
class Prepare(Command):
    """Draw up the first population, and the next candidates, which are evaluated when the run goes on.

    A run that is stopped in the middle of evaluations leaves them so; the record has to know.
    """

    action = "prepare"
    undoable = False
    candidates: int = 0

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        engine.begin()
        drawn = [engine.ask() for _ in range(self.candidates)]
        for candidate in reversed(drawn):
            if candidate is not None:
                engine.give_back(candidate)
        return f"{self.candidates} candidates drawn up"

    def sound(self, problem: Problem) -> bool:  # noqa: D102
        return type(self.candidates) is int and 0 <= self.candidates <= MANY

    def call(self, problem: Problem) -> str:  # noqa: D102
        return f"prepare({self.candidates})"


@dataclass(frozen=True)
class WhatIf(Command):
    """Evaluate a configuration beside the search; a failure goes to the one who asked.

    Who no longer wants the answer cancels it.
    """

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


def _within(positions: Iterable[Any], count: int) -> bool:
    return all(type(one) is int and 0 <= one < count for one in positions)


def _numbers(values: Iterable[Any]) -> bool:
    return all(type(one) in (int, float) for one in values)


def restored(
    action: str, arguments: Mapping[str, Any], problem: Problem, make: Callable[[str], Species]
) -> Command:
    """The command that a journal describes.

    Args:
        action: its name.
        arguments: as ``Command.arguments`` gave them.
        problem: that it is about.
        make: gives a species by name.

    Raises:
        StorageError: if nothing of ours is described so.
    """
    from nemo_lab.study.commands.species import SPECIES_COMMANDS, AddSpecies

    known = {one.action: one for one in (*OWN, *SPECIES_COMMANDS)}
    try:
        fields = {
            name: {int(key): value for key, value in value["pairs"]} if isinstance(value, dict) else value
            for name, value in arguments.items()
        }
        if action == AddSpecies.action:
            return AddSpecies(str(fields["name"]), make(str(fields["name"])))
        command = known[action](**fields)
        if command.sound(problem):
            return command
        wrong: object = fields
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        wrong = error
    raise StorageError(
        f"the journal has a steer {action!r} that cannot be read: {wrong!r:.200}",
        "load_study(..., read_only=True) shows the rest",
    )


OWN: tuple[type[Command], ...] = (Pin, Unpin, Constrain, Aspire, Enqueue, Budget, Undo, Redo, Prepare)
