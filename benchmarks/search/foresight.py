"""A sensitivity for a problem without gradients: its own truth, blurred as gradients blur it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

RANKS = {2: 0.87, 3: 0.94, 4: 0.94, 5: 0.9, 6: 0.6, 7: 0.3}  # by width, as measured on the fashion network
COST = 4  # evaluations that ``QuantizationProblem.sensitivity`` takes about as long as

Floats = NDArray[np.float64]


def blurred(truth: Floats, widths: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Damages float[Q, W] in error by a log-normal factor, half of which a node has at all widths.

    Its variance at each width is that at which ranks agree with the truth as ``RANKS`` says.
    """
    draws = rng.standard_normal((len(truth), 1)) + rng.standard_normal(truth.shape)
    found = np.log(np.maximum(truth, np.finfo(np.float64).tiny))
    for place, width in enumerate(widths):
        found[:, place] += _strength(found[:, place], draws[:, place], RANKS, width) * draws[:, place]
    return np.exp(found)


def _strength(logs: Floats, draws: Floats, ranks: Mapping[int, float], width: int) -> float:
    wanted = ranks.get(width, min(ranks.values()))
    low, high = 0.0, 100.0
    for _ in range(40):
        middle = (low + high) / 2
        if spearmanr(logs, logs + middle * draws).statistic > wanted:
            low = middle
        else:
            high = middle
    return low
