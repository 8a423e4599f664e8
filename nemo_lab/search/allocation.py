"""How many members each species may keep: an upper-confidence-bound score, shared out in slots."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def utility_from_r2(indicators: Floats) -> Floats:
    """v_s in [0, 1], larger is better: R2 turned and normalised over species; ours."""
    span = indicators.max() - indicators.min()
    if span == 0:
        return np.ones_like(indicators)
    return np.asarray((indicators.max() - indicators) / span)


def ucb_scores(utility: Floats, evaluations: NDArray[np.int64], c: float) -> Floats:
    """score_s = v_s + c * sqrt(ln(sum_t y_t) / y_s) (docs/method.md, section 5, step 4)."""
    counts = np.maximum(evaluations, 1).astype(np.float64)
    bonus = np.sqrt(np.log(max(counts.sum(), 1.0)) / counts)
    return np.asarray(utility + c * bonus)


def share_slots(scores: Floats, slots: int, min_size: int) -> NDArray[np.int64]:
    """Slots in proportion to the scores, whole numbers by largest remainder, none below a floor.

    A species whose share falls below ``min_size`` gets just that, and the others share the rest.
    Equal remainders go to the species that comes first.

    Args:
        scores: float[S], not negative.
        slots: to be shared; their sum is kept exactly.
        min_size: the floor; lowered to slots // S where it cannot be had.
    """
    count = len(scores)
    floor = min(min_size, slots // count)
    if scores.sum() <= 0:
        scores = np.ones(count)
    fixed = np.zeros(count, dtype=bool)
    while True:
        free = slots - floor * int(fixed.sum())
        quota = np.where(fixed, float(floor), 0.0)
        weight = np.where(fixed, 0.0, scores)
        if weight.sum() > 0:
            quota = quota + weight / weight.sum() * free
        low = ~fixed & (quota < floor)
        if not low.any():
            break
        fixed |= low
    whole = np.floor(quota + 1e-9).astype(np.int64)
    remainder = np.where(fixed, -1.0, quota - whole)
    for index in np.argsort(-remainder, kind="stable")[: slots - int(whole.sum())]:
        whole[index] += 1
    return whole
