"""Who mates with whom, and where first members begin: the same for every species."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def partners(count: int, rng: np.random.Generator, mating: str) -> NDArray[np.intp]:
    """Two of ``count`` parents, which come best first; different where there are two.

    Args:
        count: of parents.
        rng: to draw from.
        mating: ``"random"``, or ``"tournament"``: each is the better of two.
    """
    if mating == "random" or count < 3:
        return rng.choice(count, size=2, replace=count < 2).astype(np.intp)
    first = min(rng.choice(count, size=2, replace=False))
    others = np.delete(np.arange(count), first)
    return np.array([first, others[min(rng.choice(count - 1, size=2, replace=False))]], dtype=np.intp)


def spread_levels(count: int, low: float, high: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """float[count] in random order, one at random from each of ``count`` equal parts of [low, high]."""
    return np.asarray(low + (high - low) * (rng.permutation(count) + rng.random(count)) / max(count, 1))
