"""Members of a front that people ask for by what they want of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from nemo_lab.study.results.snapshot import Snapshot

Objectives = NDArray[np.float64]
POINT = 0.01  # of the first objective


def within_a_point(objectives: Objectives) -> int:
    """The smallest in the second objective within a point of the best in the first."""
    good = objectives[:, 0] <= objectives[:, 0].min() + POINT
    return int(np.where(good, objectives[:, min(1, objectives.shape[1] - 1)], np.inf).argmin())


def best(objectives: Objectives) -> int:
    """The best in the first objective; of several, the smallest in the second."""
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


def choices(names: Sequence[str]) -> dict[str, Callable[[Objectives], int]]:
    """What can be asked for, in the words of a problem with objectives of these names."""
    if names[0] == "task_error":
        words = "smallest within a point of the best", "most accurate", "smallest"
    else:
        first, second = names[0], names[min(1, len(names) - 1)]
        words = f"lowest {second} within {POINT} of the best {first}", f"lowest {first}", f"lowest {second}"
    return dict(zip((*words, "balanced"), (within_a_point, best, smallest, balanced), strict=True))


def choose(snapshot: Snapshot, choice: Callable[[Objectives], int]) -> int:
    """Config id of the member of the front that a choice prefers.

    Raises:
        ValueError: while the front is empty.
    """
    if not len(snapshot.front):
        raise ValueError("the front is still empty; press Start")
    return int(snapshot.front[choice(snapshot.evaluations.objectives[snapshot.front])])
