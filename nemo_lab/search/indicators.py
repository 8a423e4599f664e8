"""Quality of sets of objective vectors: R2, hypervolume, dominance. All objectives minimised."""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from nemo_lab._quiet import importing
from nemo_lab.search.native import dominated_volume, undominated, vectors

Objectives = NDArray[np.float64]


@functools.lru_cache(maxsize=32)
def uniform_directions(objectives: int, partitions: int) -> Objectives:
    """Das-Dennis weight vectors on the unit simplex, float64[L, K], by pymoo."""
    with importing():
        from pymoo.util.ref_dirs import get_reference_directions

    directions = np.asarray(get_reference_directions("das-dennis", objectives, n_partitions=partitions))
    directions.setflags(write=False)
    return directions


def partitions_for(objectives: int, count: int) -> int:
    """The largest number of partitions that gives at most ``count`` directions, at least 1."""
    partitions = 1
    while objectives > 1 and math.comb(partitions + objectives, objectives - 1) <= count:
        partitions += 1
    return partitions


def r2(members: Objectives, weights: Objectives, utopian: Objectives | float = 0.0) -> float:
    """R2 indicator towards the utopian point; lower is better (docs/method.md, section 5, step 3).

    R2 = 1/|L| * sum_{l in L} min_{g in members} max_j l_j * |z*_j - g_j|.

    Args:
        members: float[N, K], N at least 1.
        weights: float[L, K].
        utopian: z*, the origin by default.
    """
    distance = np.abs(utopian - members)
    worst = (weights[:, None, :] * distance[None, :, :]).max(axis=2)
    return float(worst.min(axis=1).mean())


def hypervolume(members: Objectives, bounds: Objectives, reference: float = 1.01) -> float:
    """Share of the reachable box that the members dominate, in [0, 1].

    Objectives are normalised so that ``bounds`` float[2, K] become 0 and 1; the reference point is
    ``reference`` in every objective, and the volume is divided by that of the box up to it.

    Raises:
        ArgumentError: unless members and bounds are finite, and of one K.
    """
    if len(members) == 0:
        return 0.0
    low, high = vectors("bounds", bounds)
    members, count = vectors("objectives", members, len(low)), len(low)
    span = np.where(high > low, high - low, 1.0)
    with np.errstate(over="ignore"):  # what is far outside adds nothing
        scaled = np.clip((members - low) / span, 0.0, reference)
    return dominated_volume(scaled, np.full(count, reference)) / float(reference**count)


def non_dominated(objectives: Objectives) -> NDArray[np.intp]:
    """Row numbers of the non-dominated vectors, ascending; of equal vectors only the first.

    Raises:
        ArgumentError: unless all are finite.
    """
    if len(objectives) == 0:
        return np.empty(0, dtype=np.intp)
    return np.flatnonzero(undominated(objectives))
