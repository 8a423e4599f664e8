"""Members of a front that people ask for by what they want of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from nemo_lab.objective import PERCENT, Objective
from nemo_lab.search import Problem
from nemo_lab.search.objective import only, varying
from nemo_lab.study.results.snapshot import Snapshot

Objectives = NDArray[np.float64]
POINT = 0.01  # of the first objective


def within_a_point(objectives: Objectives) -> int:
    """The best in the second objective within a point of the best in the first."""
    good = objectives[:, 0] <= objectives[:, 0].min() + POINT
    return int(np.where(good, objectives[:, min(1, objectives.shape[1] - 1)], np.inf).argmin())


def best(objectives: Objectives) -> int:
    """The best in the first objective; of several, the best in the second."""
    return int(np.lexsort(objectives.T[::-1])[0])


def smallest(objectives: Objectives) -> int:
    """The best in the second objective; of several, the best in the first."""
    k = min(1, objectives.shape[1] - 1)
    return int(np.lexsort((objectives[:, 0], objectives[:, k]))[0])


def balanced(objectives: Objectives) -> int:
    """The one nearest to the best of every objective, each scaled to the range of the front."""
    low, high = objectives.min(axis=0), objectives.max(axis=0)
    scaled = (objectives - low) / np.where(high > low, high - low, 1.0)
    return int((scaled**2).sum(axis=1).argmin())


def choices(objectives: Sequence[Objective]) -> dict[str, Callable[[Objectives], int]]:
    """What can be asked for, in the words of these objectives, see ``nemo_lab.search.objective.varied``."""
    first, second = objectives[0], objectives[min(1, len(objectives) - 1)]
    room = f"{POINT:.0%}" if first.display.exponential else f"{POINT}"  # of a logarithm, it is a factor
    near = "a point of the best" if first.format == PERCENT else f"{room} of the best {first.label}"
    words = f"{second.superlative} within {near}", first.superlative, second.superlative
    return dict(zip((*words, "balanced"), (within_a_point, best, smallest, balanced), strict=True))


def choose(snapshot: Snapshot, choice: Callable[[Objectives], int], problem: Problem) -> int:
    """Config id of the member of the front that a choice prefers, by the objectives that vary.

    Raises:
        ValueError: while the front is empty.
    """
    if not len(snapshot.front):
        raise ValueError("the front is still empty; press Start")
    objectives = only(varying(problem), snapshot.evaluations.objectives[snapshot.front])
    return int(snapshot.front[choice(objectives)])
