"""What crosses the thread: frozen snapshots of a run, and the list of its hand steers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nemo_lab.search import Engine, Evaluations, GenerationRecord, Rules
from nemo_lab.search.constraints import Pins
from nemo_lab.search.species_controls import Controls

State = Literal["idle", "running", "paused", "stopping", "finished", "failed"]


@dataclass(frozen=True)
class Intervention:
    """A hand steer, as it took effect.

    Attributes:
        evaluation: evaluations made before it; it acts on all after.
        action: name of the method of ``Study``.
        detail: what exactly, for people.
        arguments: everything it takes to make it again.
    """

    evaluation: int
    action: str
    detail: str
    arguments: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Everything there is to know of a run at one moment; never changes.

    Attributes:
        version: grows with every snapshot of a study.
        state: see ``Study.state``.
        evaluations: all evaluations so far.
        front: config ids of the non-dominated evaluations under the pins.
        rules: pins, constraints and aspiration in force.
        generation: of the search, from 0.
        allocation: members each species holds.
        history: the end of each generation.
        interventions: hand steers so far.
        hypervolume: of the front under the pins, normalised.
        waiting: projected and hand-made configurations that wait to be evaluated.
        target: evaluations at which the run ends.
        seconds: time spent running.
        seconds_per_evaluation: recent, search included; 0 before the first.
        controls: which species take part, are frozen, or have a share of their own.
        undo, redo: what would be undone or made again next, empty for nothing.
        reused: evaluations that were not paid for: the journal had them, or somebody had asked.
        exhausted: whether every configuration that the pins allow has been evaluated.
        error: traceback of the failure, if the state is ``failed``.
    """

    version: int
    state: State
    evaluations: Evaluations
    front: NDArray[np.intp]
    rules: Rules
    generation: int
    allocation: tuple[int, ...]
    history: tuple[GenerationRecord, ...]
    interventions: tuple[Intervention, ...]
    hypervolume: float
    waiting: int
    target: int
    seconds: float
    seconds_per_evaluation: float
    controls: Controls = field(default_factory=Controls)
    undo: str = ""
    redo: str = ""
    reused: int = 0
    exhausted: bool = False
    error: str | None = field(default=None, repr=False)

    @property
    def pins(self) -> Pins:
        """Node -> width, or (lowest, highest), in force."""
        return self.rules.held

    @property
    def seconds_left(self) -> float | None:
        """Estimate of the running time to the target, None before there is a rate."""
        if self.seconds_per_evaluation == 0:
            return None
        return max(0, self.target - len(self.evaluations)) * self.seconds_per_evaluation


def picture(engine: Engine, **run: Any) -> Snapshot:
    """The snapshot of an engine; ``run`` is what it does not know of itself."""
    return Snapshot(
        evaluations=engine.evaluations,
        front=engine.front,
        rules=engine.rules,
        generation=engine.generation,
        allocation=tuple(int(size) for size in engine.allocation),
        history=engine.history,
        hypervolume=engine.hypervolume(),
        waiting=engine.waiting,
        controls=engine.controls,
        undo=engine.undoable[-1].label if engine.undoable else "",
        redo=engine.undone[-1].label if engine.undone else "",
        exhausted=engine.exhausted,
        **run,
    )
