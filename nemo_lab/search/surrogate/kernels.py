"""Numba kernels of the surrogate: sums of one number per node, and the gradient of a fit to them."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@njit(nogil=True)  # type: ignore[untyped-decorator]
def _damage(levels: NDArray[np.uint8], table: Floats, row: int) -> float:
    """Sum of table[q, levels[row, q]] over the nodes."""
    total = 0.0
    for q in range(levels.shape[1]):
        total += table[q, levels[row, q]]
    return total


@njit("f8[::1](u1[:,::1], f8[:,::1])", cache=True, nogil=True)  # type: ignore[untyped-decorator]
def add_up(levels: NDArray[np.uint8], table: Floats) -> Floats:
    """Sum of table[q, levels[n, q]] over the nodes: uint8[N, Q], float[Q, W] -> float[N]."""
    sums = np.zeros(len(levels))
    for n in range(len(levels)):
        sums[n] = _damage(levels, table, n)
    return sums


@njit(
    "Tuple((f8, f8[:,::1], f8, f8))(u1[:,::1], f8[:,::1], f8, f8, f8, f8[::1], f8[::1])",
    cache=True,
    nogil=True,
)  # type: ignore[untyped-decorator]
def loss_and_gradient(
    levels: NDArray[np.uint8],
    table: Floats,
    floor: float,
    ceiling: float,
    power: float,
    errors: Floats,
    weights: Floats,
) -> tuple[float, Floats, float, float]:
    """Half the weighted squares of (predicted - measured error), and its gradient.

    The prediction is ceiling - (ceiling - floor) * exp(-damage**power) with damage = ``add_up``.

    Returns:
        the loss, its derivatives by the table float[Q, W], by the floor, and by log(power).
    """
    rows, nodes = levels.shape
    gradient = np.zeros(table.shape)
    loss = by_floor = by_power = 0.0
    span = ceiling - floor
    for n in range(rows):
        damage = _damage(levels, table, n)
        harm = damage**power
        kept = math.exp(-harm)
        off = ceiling - span * kept - errors[n]
        slope = weights[n] * off
        loss += 0.5 * slope * off
        by_floor += slope * kept
        slope *= span * kept * harm * power
        by_power += slope * math.log(damage)
        slope /= damage
        for q in range(nodes):
            gradient[q, levels[n, q]] += slope
    return loss, gradient, by_floor, by_power


@njit("f8[:,::1](u1[:,::1], f8[:,::1], f8, f8, f8, f8[::1])", cache=True, nogil=True)  # type: ignore[untyped-decorator]
def information(
    levels: NDArray[np.uint8], table: Floats, floor: float, ceiling: float, power: float, weights: Floats
) -> Floats:
    """Diagonal of the Gauss-Newton matrix by log(table): float[Q, W]."""
    rows, nodes = levels.shape
    found = np.zeros(table.shape)
    for n in range(rows):
        damage = _damage(levels, table, n)
        harm = damage**power
        slope = (ceiling - floor) * math.exp(-harm) * power * harm / damage
        scale = weights[n] * slope * slope
        for q in range(nodes):
            w = levels[n, q]
            found[q, w] += scale * table[q, w] * table[q, w]
    return found


@njit(
    "void(f8[:,:,::1], f8[:,::1], f8[:,:,:,::1], i8[::1], i8[::1], i8[::1], b1[:,::1], u1[:,::1], i8)",
    cache=True,
    nogil=True,
)  # type: ignore[untyped-decorator]
def descend(
    tables: Floats,
    prices: Floats,
    both: Floats,
    starts: NDArray[np.int64],
    partners: NDArray[np.int64],
    which: NDArray[np.int64],
    allowed: NDArray[np.bool_],
    levels: NDArray[np.uint8],
    sweeps: int,
) -> None:
    """Lower every state's sum of nodes and priced pairs, in place.

    One node after the other takes its best width, given that each of its partners answers with its own best.

    Args:
        tables: float[S, Q, W], prices included.
        prices: float[S, C].
        both, starts, partners, which: see ``PairwiseCosts``.
        allowed: bool[Q, W].
        levels: uint8[S, Q], changed.
        sweeps: over all nodes, at most.
    """
    states, nodes, widths = tables.shape
    costs = prices.shape[1]
    most = 1
    for q in range(nodes):
        most = max(most, starts[q + 1] - starts[q])
    answers = np.zeros((widths, most), dtype=np.uint8)
    fixed = np.zeros(widths)
    for s in range(states):
        for _ in range(sweeps):
            changed = False
            for q in range(nodes):
                first, last = starts[q], starts[q + 1]
                total = tables[s, q].copy()
                for n in range(first, last):
                    j, pair = partners[n], which[n]
                    for wj in range(widths):  # what partner j costs beside q
                        fixed[wj] = tables[s, j, wj] if allowed[j, wj] else np.inf
                        for m in range(starts[j], starts[j + 1]):
                            k, other = partners[m], which[m]
                            if k != q and fixed[wj] < np.inf:
                                for c in range(costs):
                                    fixed[wj] += prices[s, c] * (
                                        both[c, other, wj, levels[s, k]]
                                        if other >= 0
                                        else both[c, ~other, levels[s, k], wj]
                                    )
                    for wq in range(widths):
                        best, answer = np.inf, 0
                        for wj in range(widths):
                            value = fixed[wj]
                            if value < np.inf:
                                for c in range(costs):
                                    value += prices[s, c] * (
                                        both[c, pair, wq, wj] if pair >= 0 else both[c, ~pair, wj, wq]
                                    )
                            if value < best:
                                best, answer = value, wj
                        total[wq] += best
                        answers[wq, n - first] = answer
                chosen, lowest = levels[s, q], np.inf
                for wq in range(widths):
                    if allowed[q, wq] and total[wq] < lowest:
                        chosen, lowest = wq, total[wq]
                if chosen != levels[s, q]:
                    levels[s, q] = chosen
                    changed = True
                for n in range(first, last):
                    j = partners[n]
                    if levels[s, j] != answers[chosen, n - first]:
                        levels[s, j] = answers[chosen, n - first]
                        changed = True
            if not changed:
                break
