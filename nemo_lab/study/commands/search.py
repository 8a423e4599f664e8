"""Commands about where the search goes: pins, constraints, aspiration, budget; undo and redo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from nemo_lab.search import Engine, Ledger, Problem
from nemo_lab.search.constraints import Pins, checked_pins
from nemo_lab.study.commands.base import Command, Evaluate, numbers, plain, within
from nemo_lab.study.parsing.nodes import listed_nodes, listed_pins


@dataclass(frozen=True)
class Pin(Command):
    """Fix nodes at widths, or in ranges; ``matching`` says how they were chosen, where they are many."""

    action = "pin"
    pins: Pins
    matching: str = ""

    def decide(self, ledger: Ledger, evaluations: int) -> Ledger:  # noqa: D102
        return ledger.pin(self._pins)

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        projected = engine.steering.pin(self._pins)
        listed = listed_pins(self._pins, engine.problem.node_names, self.matching)
        return f"{listed}; {projected} front members projected"

    def sound(self, problem: Problem) -> bool:  # noqa: D102
        if not within(self.pins, problem.num_nodes):
            return False
        checked_pins(self.pins, problem)  # raises a ValueError
        return isinstance(self.matching, str)

    def call(self, problem: Problem) -> str:  # noqa: D102
        return f"pin({ {plain(problem.node_names[node]): width for node, width in self._pins.items()} })"

    @property
    def _pins(self) -> Pins:
        """A journal has ranges as lists."""
        return {node: tuple(width) if isinstance(width, list) else width for node, width in self.pins.items()}


@dataclass(frozen=True)
class Unpin(Command):
    """Free nodes."""

    action = "unpin"
    nodes: Sequence[int]

    def decide(self, ledger: Ledger, evaluations: int) -> Ledger:  # noqa: D102
        return ledger.unpin(self.nodes)

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        engine.steering.unpin(self.nodes)
        return listed_nodes(self.nodes, engine.problem.node_names)

    def sound(self, problem: Problem) -> bool:  # noqa: D102
        return within(self.nodes, problem.num_nodes)

    def call(self, problem: Problem) -> str:  # noqa: D102
        return f"unpin({[plain(problem.node_names[node]) for node in self.nodes]})"


@dataclass(frozen=True)
class Constrain(Command):
    """Put limits on objectives, in place of those before."""

    action = "constrain"
    limits: Mapping[int, float]

    def decide(self, ledger: Ledger, evaluations: int) -> Ledger:  # noqa: D102
        return ledger.constrain(self.limits)

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        engine.steering.constrain(self.limits)
        names = engine.problem.objective_names
        return ", ".join(f"{names[k]} <= {limit:.6g}" for k, limit in self.limits.items()) or "nothing"

    def sound(self, problem: Problem) -> bool:  # noqa: D102
        return within(self.limits, len(problem.objective_names)) and numbers(self.limits.values())

    def call(self, problem: Problem) -> str:  # noqa: D102
        names = problem.objective_names
        texts = [repr(f"{names[k]} <= {limit!r}") for k, limit in self.limits.items()]
        return f"constrain({', '.join(texts)})"


@dataclass(frozen=True)
class Aspire(Command):
    """Concentrate on a box of objectives, in place of the one before."""

    action = "aspire"
    box: Mapping[int, tuple[float, float]]

    def decide(self, ledger: Ledger, evaluations: int) -> Ledger:  # noqa: D102
        return ledger.aspire(self._box)

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        engine.steering.aspire(self._box)
        names = engine.problem.objective_names
        return ", ".join(f"{names[k]} {a:.6g} to {b:.6g}" for k, (a, b) in self.box.items()) or "everything"

    def sound(self, problem: Problem) -> bool:  # noqa: D102
        boxes = all(len(box) == 2 and numbers(box) and box[0] < box[1] for box in self.box.values())
        return boxes and within(self.box, len(problem.objective_names))

    def call(self, problem: Problem) -> str:  # noqa: D102
        names = problem.objective_names
        return f"aspire(**{ {plain(names[k]): box for k, box in self._box.items()} })"

    @property
    def _box(self) -> dict[int, tuple[float, float]]:
        """A journal has intervals as lists."""
        return {k: (low, high) for k, (low, high) in self.box.items()}


@dataclass(frozen=True)
class Budget(Command):
    """Change at how many evaluations the run ends."""

    action = "budget"
    evaluations: int
    before: int | None = None

    def resolved(self, ledger: Ledger) -> Command:
        """With the end of the run so far, which a start may have set: ``undo`` goes back to it."""
        return replace(self, before=ledger.budget)

    def decide(self, ledger: Ledger, evaluations: int) -> Ledger:  # noqa: D102
        known = ledger if self.before is None else ledger.planned(self.before)
        return known.end_at(max(self.evaluations, evaluations))

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        wanted = max(self.evaluations, len(engine.evaluations))  # more may have been made meanwhile
        if self.before is not None:
            engine.steering.plan(self.before)
        engine.steering.set_budget(wanted)
        return f"{wanted} evaluations in all"

    def sound(self, problem: Problem) -> bool:  # noqa: D102
        known = self.before is None or type(self.before) is int
        return type(self.evaluations) is int and self.evaluations > 0 and known

    def call(self, problem: Problem) -> str:  # noqa: D102
        return f"set_budget({self.evaluations})"


@dataclass(frozen=True)
class Undo(Command):
    """Take back the latest intervention that stands."""

    action = "undo"
    undoable = False

    def decide(self, ledger: Ledger, evaluations: int) -> Ledger:  # noqa: D102
        return ledger.undo()

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        return engine.steering.undo()

    def call(self, problem: Problem) -> str:  # noqa: D102
        return "undo()"


@dataclass(frozen=True)
class Redo(Command):
    """Make the intervention again that was undone last."""

    action = "redo"
    undoable = False

    def decide(self, ledger: Ledger, evaluations: int) -> Ledger:  # noqa: D102
        return ledger.redo()

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        return engine.steering.redo()

    def call(self, problem: Problem) -> str:  # noqa: D102
        return "redo()"


SEARCH_COMMANDS: tuple[type[Command], ...] = (Pin, Unpin, Constrain, Aspire, Budget, Undo, Redo)
