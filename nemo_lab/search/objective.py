"""The objectives of a problem, told apart, and which of them can vary at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nemo_lab.errors import ArgumentError, shown
from nemo_lab.objective import Objective, Scale
from nemo_lab.search.problem import Problem, bounds_of

__all__ = ["Objective", "Scale", "constant", "objectives_of", "only", "varied", "varying"]

Floats = NDArray[np.float64]


def objectives_of(problem: Problem) -> tuple[Objective, ...]:
    """The problem's own ``objectives``, or plain ones made from ``objective_names``, with their bounds.

    Of two with one label, or one name to write, the second says its own name.

    Raises:
        ArgumentError: if ``objectives`` are not such records, or do not agree with ``objective_names``.
    """
    names = tuple(problem.objective_names)
    exact = tuple(problem.cost_names)
    own: Sequence[Objective] = problem.objectives
    if not isinstance(own, tuple | list) or not all(isinstance(one, Objective) for one in own):
        raise ArgumentError(
            f"objectives of {problem.title} are {shown(own)}",
            "give a tuple of nemo_lab.objective.Objective, or call the attribute something else",
        )
    if not own:
        own = [Objective(name, exact=name in exact) for name in names]
    if tuple(one.name for one in own) != names:
        raise ArgumentError(
            f"objectives are {', '.join(one.name for one in own)}, objective_names {', '.join(names)}",
            "give one Objective for each name, in the same order",
        )
    return _told_apart(
        [
            replace(one, low=low, high=high)
            for one, (low, high) in zip(own, bounds_of(problem).T.tolist(), strict=True)
        ]
    )


def _told_apart(objectives: Sequence[Objective]) -> tuple[Objective, ...]:
    """A label of its own for each, and no name for its scale that is another's."""
    labels = Counter(one.label for one in objectives)
    written = Counter([*(one.name for one in objectives), *(one.display.name for one in objectives)])
    found = []
    for one in objectives:
        if labels[one.label] > 1 and one.label != one.name:
            label, title = f"{one.label} ({one.name})", one.title and f"{one.title} ({one.name})"
            one = replace(one, label=label, title=title)
        if written[one.display.name] > 1:
            one = replace(one, display=replace(one.display, name=""))
        found.append(one)
    return tuple(found)


def varying(problem: Problem) -> NDArray[np.intp]:
    """Columns of the objectives that the search looks at: those in which configurations can differ.

    An objective whose lowest and highest value are the same, such as the bit-operations of a network in
    which no multiplication has a decision, says nothing of a configuration. All columns, if none can vary.
    """
    low, high = bounds_of(problem)
    columns = np.flatnonzero(low < high)
    return columns if len(columns) else np.arange(len(low))


def varied(problem: Problem) -> tuple[Objective, ...]:
    """The objectives of ``varying``, which figures and choices speak of."""
    objectives = objectives_of(problem)
    return tuple(objectives[k] for k in varying(problem))


def constant(problem: Problem) -> tuple[Objective, ...]:
    """The objectives that search and figures leave out."""
    kept = {one.name for one in varied(problem)}
    return tuple(one for one in objectives_of(problem) if one.name not in kept)


def only(columns: NDArray[np.intp], vectors: Floats) -> Floats:
    """Some columns of float[N, K]; the array itself if that is all of them, or nothing is in it."""
    whole = not len(vectors) or len(columns) == vectors.shape[1]
    return vectors if whole else np.ascontiguousarray(vectors[:, columns])
