"""Numba kernels: populations of bit-widths to exact costs. Arrays in, arrays out, no checks.

Serial and ``nogil``: safe from any number of threads at once, never holds up the kernel's main
thread. Compiled once and cached on disk. Formulas: METHOD section 3, arXiv 2106.07611.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

FULL_PRECISION = 32.0


@njit(
    ["f8[:](u1[:, ::1], i8[::1], f8[::1])"],
    cache=True,
    nogil=True,
)  # type: ignore[untyped-decorator]
def model_ratio(
    bits: NDArray[np.uint8], weights: NDArray[np.int64], params: NDArray[np.float64]
) -> NDArray[np.float64]:
    """sum_w(params_w * b_w) / sum_w(params_w * 32) for each row of ``bits``.

    Args:
        bits: uint8[N, Q].
        weights: int64[W], node index of each weight quantizer.
        params: float64[W], weights of each.

    Returns:
        float64[N].
    """
    count = bits.shape[0]
    ratios = np.empty(count)
    full = params.sum() * FULL_PRECISION
    for row in range(count):
        total = 0.0
        for j in range(weights.shape[0]):
            total += params[j] * bits[row, weights[j]]
        ratios[row] = total / full
    return ratios


@njit(
    ["f8[:](u1[:, ::1], i8[::1], i8[::1], f8[::1], b1)"],
    cache=True,
    nogil=True,
)  # type: ignore[untyped-decorator]
def bitop_ratio(
    bits: NDArray[np.uint8],
    weights: NDArray[np.int64],
    activations: NDArray[np.int64],
    macs: NDArray[np.float64],
    product: bool,
) -> NDArray[np.float64]:
    """Bit-operations relative to full precision, for each row of ``bits``.

    ``max``: sum_l(MAC_l * max(b_w, b_a)) / sum_l(MAC_l * 32);
    ``product``: sum_l(MAC_l * b_w * b_a) / sum_l(MAC_l * 1024).

    Args:
        bits: uint8[N, Q].
        weights, activations: int64[L], the two nodes that meet in each layer.
        macs: float64[L].
        product: which of the two.

    Returns:
        float64[N].
    """
    count = bits.shape[0]
    ratios = np.empty(count)
    full = macs.sum() * FULL_PRECISION
    if product:
        full *= FULL_PRECISION
    for row in range(count):
        total = 0.0
        for j in range(macs.shape[0]):
            weight = float(bits[row, weights[j]])
            activation = float(bits[row, activations[j]])
            total += macs[j] * (weight * activation if product else max(weight, activation))
        ratios[row] = total / full
    return ratios
