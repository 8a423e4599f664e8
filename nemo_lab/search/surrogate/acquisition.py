"""The acquisition: candidates whose predicted objectives would together improve the hypervolume most."""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

from nemo_lab.search.native import vectors, volume_to

Floats = NDArray[np.float64]


def pick_by_gain(front: Floats, predicted: Floats, count: int, reference: Floats) -> NDArray[np.intp]:
    """Candidates, best first: each improves the hypervolume of the front and those before it most.

    A lazy greedy choice: an improvement only shrinks as others are picked, so only the largest one that is
    out of date is computed anew.

    Args:
        front: float[M, K], objectives of the front.
        predicted: float[N, K], the surrogate's predictions for the candidates.
        count: at most this many; fewer if no other candidate improves anything.
        reference: float[K], the reference point of the hypervolume.

    Returns:
        int[at most count], rows of ``predicted``.
    """
    volume = volume_to(reference)
    have = vectors("the front", front[(front < reference).all(axis=1)], len(reference))
    base = volume(have) if len(have) else 0.0
    inside = (predicted < reference).all(axis=1)
    dominated = (have[:, None] <= predicted[None]).all(axis=2).any(axis=0)
    rows = np.flatnonzero(inside & ~dominated)
    vectors("predictions", predicted[rows], len(reference))
    waiting = [(-np.inf, row) for row in rows.tolist()]
    heapq.heapify(waiting)
    fresh: dict[int, int] = {}
    picked: list[int] = []
    while waiting and len(picked) < count:
        gain, row = heapq.heappop(waiting)
        new = predicted[row]
        if fresh.get(row) == len(picked):
            if gain >= -1e-12:
                break
            picked.append(row)
            have = np.concatenate([have[~(new <= have).all(axis=1)], new[None]])
            base -= gain
            continue
        gain = base - volume(np.concatenate([have, new[None]]))
        fresh[row] = len(picked)
        if gain < -1e-12:
            heapq.heappush(waiting, (gain, row))
    return np.asarray(picked, dtype=np.intp)
