"""What the front panel shows of a snapshot, as a frozen record of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.search import Constraints, Problem
from nemo_lab.search.archive import ParetoFront
from nemo_lab.search.problem import bounds_of
from nemo_lab.study import Snapshot

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FrontInfo:
    """All evaluated points and the front among them, as they are drawn.

    Attributes:
        names: of the three objectives drawn: vertical, and the two horizontal ones.
        values: float[N, 3] in drawing units; an error is turned into accuracy.
        config: int[N].
        species: int[N], position, -1 for none.
        generation: int[N].
        on_front: bool[N].
        feasible: bool[N], whether the pins in force are satisfied.
        species_names: name of each position.
        beyond: int[B], config ids of the front of all evaluations, whatever the wishes in force, that are not
            on the front of those.
        asked: float[2, 3], the lowest and highest values that constraints and aspiration ask for, NaN where
            they ask for nothing.
        bounds: float[2, 3], what can be reached.
        objectives: every objective of the members of the front in drawing units, by name.
        front_ids: int[F], config ids of the members of the front, in the order of ``objectives``.
        held_out: float[H, 4]: config id, accuracy on held-out examples, its lower and its upper bound.
    """

    names: tuple[str, str, str]
    values: Floats
    config: NDArray[np.int64]
    species: NDArray[np.int16]
    generation: NDArray[np.int32]
    on_front: NDArray[np.bool_]
    feasible: NDArray[np.bool_]
    species_names: tuple[str, ...]
    beyond: NDArray[np.intp]
    asked: Floats
    bounds: Floats
    objectives: Mapping[str, Floats]
    front_ids: NDArray[np.intp]
    held_out: Floats


def drawn_objectives(problem: Problem) -> tuple[str, str, str]:
    """The first objective stands upright, the next two lie; a lone one is drawn twice."""
    first, *others = problem.objective_names
    others = [*others, *([first] * 2)][:2]
    return first, others[0], others[1]


def drawn_values(objectives: Floats, problem: Problem) -> Floats:
    """float[N, K] as evaluated to float[N, 3] as drawn."""
    names = drawn_objectives(problem)
    columns = [problem.objective_names.index(name) for name in names]
    return np.stack([drawn(objectives[:, k], problem.objective_names[k]) for k in columns], axis=1)


def drawn(values: Floats, name: str) -> Floats:
    """Values of an objective in drawing units; they are their own inverse."""
    return 1.0 - values if name == "task_error" else np.array(values)


def front_info(
    snapshot: Snapshot, problem: Problem, species: Sequence[str], validated: Mapping[int, Any] | None = None
) -> FrontInfo:
    """What the front panel shows of a snapshot.

    Args:
        snapshot: now, or of the past.
        problem: that is searched.
        species: name of each position.
        validated: config id to what was measured on held-out examples: ``accuracy``, ``low``, ``high``.
    """
    log = snapshot.evaluations
    on_front = np.zeros(len(log), dtype=bool)
    on_front[snapshot.front] = True
    names = drawn_objectives(problem)
    best = log.objectives[snapshot.front]
    known = [
        (config, found.accuracy, found.low, found.high)
        for config, found in (validated or {}).items()
        if config < len(log)
    ]
    return FrontInfo(
        names=names,
        values=drawn_values(log.objectives, problem),
        config=np.arange(len(log)),
        species=log.species,
        generation=log.generation,
        on_front=on_front,
        feasible=log.satisfying(snapshot.pins),
        species_names=tuple(species),
        beyond=_beyond(snapshot, on_front),
        asked=_asked(snapshot.constraints, problem, names),
        bounds=_as_drawn(
            bounds_of(problem)[:, [problem.objective_names.index(name) for name in names]], names
        ),
        objectives={name: drawn(best[:, k], name) for k, name in enumerate(problem.objective_names)},
        front_ids=snapshot.front,
        held_out=np.array(known, dtype=np.float64).reshape(-1, 4),
    )


def _beyond(snapshot: Snapshot, on_front: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The whole front where wishes hide some of it."""
    if not snapshot.pins and not snapshot.constraints.limits:
        return np.zeros(0, dtype=np.intp)
    everything = ParetoFront()
    everything.rebuild(snapshot.evaluations, Constraints())
    return everything.ids[~on_front[everything.ids]]


def _asked(rules: Constraints, problem: Problem, names: Sequence[str]) -> Floats:
    """Aspiration box and limits together, as drawn."""
    asked = np.full((2, len(names)), np.nan)
    bounds = bounds_of(problem)
    for place, name in enumerate(names):
        k = problem.objective_names.index(name)
        if k in rules.aspiration:
            asked[:, place] = rules.aspiration[k]
        if k in rules.limits:
            low, high = asked[:, place]
            limit = rules.limits[k]
            asked[:, place] = (
                bounds[0, k] if np.isnan(low) else low,
                limit if np.isnan(high) else min(high, limit),
            )
    return _as_drawn(asked, names)


def _as_drawn(box: Floats, names: Sequence[str]) -> Floats:
    """float[2, 3], low and high of each objective, as drawn: the low of an error is the high of accuracy."""
    columns = [np.sort(drawn(box[:, place], name)) for place, name in enumerate(names)]
    return np.stack(columns, axis=1)
