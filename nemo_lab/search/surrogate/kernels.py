"""Numba kernels of the damage model: sums of one number per node, and the gradient of a fit to them."""

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
