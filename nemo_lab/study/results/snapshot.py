"""What crosses the thread: frozen snapshots of a run, whole, and the record of its interventions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from nemo_lab.search import Constraints, Engine, Evaluations, GenerationRecord, Ledger
from nemo_lab.search.constraints import Pins
from nemo_lab.search.species_controls import SpeciesControls
from nemo_lab.study.commands.evaluations import Foresee, Prepare
from nemo_lab.study.parsing.budget import NO_END

State = Literal["idle", "running", "paused", "stopping", "finished", "failed"]


@dataclass(frozen=True)
class Intervention:
    """A command that took effect.

    Attributes:
        evaluation: evaluations made before it; it acts on all after.
        action: name of the command, and mostly of the method of ``Study``.
        detail: what exactly, for people.
        arguments: everything it takes to make it again.
        asks: how often the search was asked for a candidate since the last evaluation or command.
    """

    evaluation: int
    action: str
    detail: str
    arguments: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    asks: int = field(default=0, repr=False, compare=False)


@dataclass(frozen=True)
class SpeciesInfo:
    """A species as a snapshot knows it.

    Attributes:
        name: unique in a study.
        summary: one sentence for people, empty where it is not known.
    """

    name: str
    summary: str = ""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Everything there is to know of a run at one moment; never changes.

    Attributes:
        version: grows with every snapshot of a study.
        evaluations: all evaluations so far.
        front: config ids of the non-dominated evaluations under the constraints.
        ledger: everything people decided that is in force, and what can be undone.
        history: the end of each generation.
        record: all commands that took effect, those that only say what the search had drawn up included.
        state: see ``Study.state``.
        species: all that ever took part; a number of one elsewhere is its position here.
        begun_with: names of those that the study began with.
        generation: of the search, from 0.
        allocation: members each species holds.
        hypervolume: of the front, normalised.
        waiting: projected and hand-made configurations that wait to be evaluated.
        target: evaluations at which the run ends.
        ends: ``seconds`` at which it ends, infinite for no such limit; not stored.
        seconds: time spent running.
        seconds_per_evaluation: recent, search included; 0 before the first.
        reused: evaluations that were not paid for: the journal had them, or somebody had asked.
        exhausted: whether every configuration that the pins allow has been evaluated.
        error: traceback of the failure, if the state is ``failed``.
    """

    version: int
    evaluations: Evaluations
    front: NDArray[np.intp]
    ledger: Ledger
    history: tuple[GenerationRecord, ...] = ()
    record: tuple[Intervention, ...] = ()
    state: State = "idle"
    species: tuple[SpeciesInfo, ...] = ()
    begun_with: tuple[str, ...] = ()
    generation: int = 0
    allocation: tuple[int, ...] = ()
    hypervolume: float = 0.0
    waiting: int = 0
    target: int = 0
    ends: float = math.inf
    seconds: float = 0.0
    seconds_per_evaluation: float = 0.0
    reused: int = 0
    exhausted: bool = False
    error: str | None = field(default=None, repr=False)

    @property
    def constraints(self) -> Constraints:
        """Pins, limits and aspiration in force."""
        return self.ledger.constraints

    @property
    def controls(self) -> SpeciesControls:
        """Which species take part, are frozen, or have a share of their own."""
        return self.ledger.controls

    @property
    def pins(self) -> Pins:
        """Node -> width, or (lowest, highest), in force."""
        return self.constraints.held

    @property
    def undo(self) -> str:
        """What would be undone next, empty for nothing."""
        return self.ledger.done[-1].label if self.ledger.done else ""

    @property
    def redo(self) -> str:
        """What would be made again next, empty for nothing."""
        return self.ledger.undone[-1].label if self.ledger.undone else ""

    @cached_property
    def interventions(self) -> tuple[Intervention, ...]:
        """What people did, in order."""
        return tuple(one for one in self.record if one.action not in (Prepare.action, Foresee.action))

    @cached_property
    def species_names(self) -> tuple[str, ...]:
        """Of ``species``."""
        return tuple(one.name for one in self.species)

    @property
    def seconds_left(self) -> float | None:
        """Estimate of the running time to the end, None before there is a rate, or without an end."""
        if self.seconds_per_evaluation == 0:
            return None
        left = (
            math.inf if self.endless else (self.target - len(self.evaluations)) * self.seconds_per_evaluation
        )
        left = min(left, self.ends - self.seconds)
        return max(0.0, left) if math.isfinite(left) else None

    @property
    def endless(self) -> bool:
        """Whether no number of evaluations ends the run."""
        return self.target >= NO_END

    def status(self) -> dict[str, Any]:
        """What evaluations, history and record do not tell, for JSON; the one schema of it is ``STATUS``."""
        names, summaries = [one.name for one in self.species], [one.summary for one in self.species]
        saved = {key: getattr(self, name) for name, (key, _) in STATUS.items()}
        return {**saved, "species": names, "summaries": summaries}


def snapshot_of(engine: Engine, **run: Any) -> Snapshot:
    """The snapshot of an engine, for its owner; ``run`` is what the engine does not know of itself."""
    return Snapshot(
        evaluations=engine.evaluations,
        front=engine.front,
        ledger=engine.ledger,
        history=engine.history,
        species=tuple(SpeciesInfo(one.name, one.summary) for one in engine.species),
        begun_with=engine.state.begun_with,
        generation=engine.generation,
        allocation=tuple(int(size) for size in engine.population.allocation),
        hypervolume=engine.hypervolume(),
        waiting=engine.waiting,
        exhausted=engine.exhausted,
        **run,
    )


def read_status(saved: Mapping[str, Any], species: tuple[str, ...]) -> dict[str, Any]:
    """Fields of a snapshot, from what ``status`` gave; what is missing has its default.

    Args:
        saved: by this or an earlier version.
        species: names of those that the study began with.

    Raises:
        TypeError, ValueError: on what is none.
    """
    fields = {name: read(saved[key]) for name, (key, read) in STATUS.items() if key in saved}
    names = list(saved.get("species", species))
    summaries = list(saved.get("summaries", [""] * len(names)))
    sizes = fields.setdefault("allocation", (0,) * len(names))
    if not all(isinstance(text, str) for text in (*names, *summaries)):
        raise TypeError("the name of a species is not a text")
    begun = tuple(names[: len(species)]) == tuple(species)
    if not begun or not len(set(names)) == len(names) == len(summaries) == len(sizes):
        raise ValueError("the species do not fit together")
    infos = tuple(SpeciesInfo(*pair) for pair in zip(names, summaries, strict=True))
    return {**fields, "species": infos, "begun_with": species}


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**53:  # which a float still has to the digit
        raise ValueError(f"{value!r:.40} counts nothing")
    return value


def _amount(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value < np.inf:
        raise ValueError(f"{value!r:.40} is not an amount")
    return float(value)


def _sizes(value: Any) -> tuple[int, ...]:
    return tuple(map(_count, value))


def _state(value: Any) -> Any:
    return value if value in get_args(State) else "idle"


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r:.40} is neither true nor false")
    return value


def _text(value: Any) -> str | None:
    if not isinstance(value, str | None):
        raise TypeError(f"{value!r:.40} is not a text")
    return value


STATUS: dict[str, tuple[str, Any]] = {  # field of a snapshot -> its name in a file, and how it is read
    "state": ("state", _state),
    "generation": ("generation", _count),
    "allocation": ("allocation", _sizes),
    "hypervolume": ("hypervolume", _amount),
    "waiting": ("waiting", _count),
    "target": ("target", _count),
    "seconds": ("seconds", _amount),
    "seconds_per_evaluation": ("rate", _amount),
    "reused": ("reused", _count),
    "exhausted": ("exhausted", _flag),
    "error": ("error", _text),
}
