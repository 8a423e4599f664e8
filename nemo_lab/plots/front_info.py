"""What the front panel shows of a snapshot, as a frozen record of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.search import Constraints, Problem
from nemo_lab.search.archive import ParetoFront
from nemo_lab.search.objective import Objective, varied
from nemo_lab.study import Snapshot

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FrontInfo:
    """All evaluated points and the front among them, as they are drawn.

    Attributes:
        axes: the three objectives drawn: vertical, and the two horizontal ones.
        values: float[N, 3] as they are shown: of an error, the accuracy it leaves.
        config: int[N].
        species: int[N], position, -1 for none.
        generation: int[N].
        on_front: bool[N].
        feasible: bool[N], whether the pins in force are satisfied.
        species_names: name of each position.
        beyond: int[B], config ids of the front of all evaluations, whatever the constraints, that are not on
            the front of those that keep them.
        asked: float[2, 3], the lowest and highest values that constraints and aspiration ask for, NaN where
            they ask for nothing.
        bounds: float[2, 3], what can be reached.
        objectives: every objective that varies, with its values of the members of the front as shown.
        front_ids: int[F], config ids of the members of the front, in the order of ``objectives``.
        held_out: float[H, 4]: config id, the vertical objective on held-out examples, as shown, and the
            bounds of its confidence interval, NaN without one.
        held_out_text: the interval of each, or its value.
        tuned: bool[H], whether it was measured after tuning.
    """

    axes: tuple[Objective, Objective, Objective]
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
    objectives: tuple[tuple[Objective, Floats], ...]
    front_ids: NDArray[np.intp]
    held_out: Floats
    held_out_text: tuple[str, ...]
    tuned: NDArray[np.bool_]


def drawn_objectives(problem: Problem) -> tuple[Objective, Objective, Objective]:
    """The first objective stands upright, the next two lie; a lone one is drawn thrice. All of them vary."""
    first, *others = varied(problem)
    others = [*others, *([first] * 2)][:2]
    return first, others[0], others[1]


def drawn_values(objectives: Floats, problem: Problem) -> Floats:
    """float[N, K] as evaluated to float[N, 3] as drawn."""
    axes, names = drawn_objectives(problem), tuple(problem.objective_names)
    return np.stack([one.display.of(objectives[:, names.index(one.name)]) for one in axes], axis=1)


def front_info(
    snapshot: Snapshot,
    problem: Problem,
    species: Sequence[str],
    validated: Mapping[int, Any] | None = None,
    tuned: Mapping[int, Any] | None = None,
) -> FrontInfo:
    """What the front panel shows of a snapshot.

    Args:
        snapshot: now, or of the past.
        problem: that is searched.
        species: name of each position.
        validated: config id to the ``Validation`` on held-out examples; those of another metric than the
            vertical objective's are not drawn.
        tuned: the same of configurations that were tuned.
    """
    log = snapshot.evaluations
    on_front = np.zeros(len(log), dtype=bool)
    on_front[snapshot.front] = True
    axes = drawn_objectives(problem)
    best = log.objectives[snapshot.front]
    known = [
        (config, found, after)
        for several, after in ((validated, False), (tuned, True))
        for config, found in (several or {}).items()
        if config < len(log) and found.objective.measured_as(axes[0])
    ]
    held_out = [(config, found.value, found.low, found.high) for config, found, _ in known]
    names = tuple(problem.objective_names)
    return FrontInfo(
        axes=axes,
        values=drawn_values(log.objectives, problem),
        config=np.arange(len(log)),
        species=log.species,
        generation=log.generation,
        on_front=on_front,
        feasible=log.satisfying(snapshot.pins),
        species_names=tuple(species),
        beyond=_beyond(snapshot, on_front),
        asked=_asked(snapshot.constraints, problem, axes),
        bounds=_as_drawn(np.array([(one.low, one.high) for one in axes], dtype=np.float64).T, axes),
        objectives=tuple((one, one.display.of(best[:, names.index(one.name)])) for one in varied(problem)),
        front_ids=snapshot.front,
        held_out=np.array(held_out, dtype=np.float64).reshape(-1, 4),
        held_out_text=tuple(found.interval or str(found) for _, found, _ in known),
        tuned=np.array([after for _, _, after in known], dtype=bool),
    )


def _beyond(snapshot: Snapshot, on_front: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The whole front where constraints hide some of it."""
    if not snapshot.pins and not snapshot.constraints.limits:
        return np.zeros(0, dtype=np.intp)
    everything = ParetoFront()
    everything.rebuild(snapshot.evaluations, Constraints())
    return everything.ids[~on_front[everything.ids]]


def _asked(constraints: Constraints, problem: Problem, axes: Sequence[Objective]) -> Floats:
    """Aspiration box and limits together, as drawn."""
    asked = np.full((2, len(axes)), np.nan)
    names = tuple(problem.objective_names)
    for place, one in enumerate(axes):
        k = names.index(one.name)
        if k in constraints.aspiration:
            asked[:, place] = constraints.aspiration[k]
        if k in constraints.limits:
            low, high = asked[:, place]
            limit = constraints.limits[k]
            asked[:, place] = (
                one.low if np.isnan(low) else low,
                limit if np.isnan(high) else min(high, limit),
            )
    return _as_drawn(asked, axes)


def _as_drawn(box: Floats, axes: Sequence[Objective]) -> Floats:
    """float[2, 3], low and high of each objective, as drawn: the low of an error is the high of accuracy."""
    columns = [np.sort(one.display.of(box[:, place])) for place, one in enumerate(axes)]
    return np.stack(columns, axis=1)
