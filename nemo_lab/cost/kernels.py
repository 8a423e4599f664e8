"""Numba kernels: populations of bit-widths to exact costs. Arrays in, arrays out.

Serial and ``nogil``: safe from any number of threads at once, never holds up the kernel's main thread.
Compiled once and cached on disk. Formulas: docs/method.md, section 3; the arrays are those of
``nemo_lab.cost.plan.Plan``.

Rows are taken in blocks that stay in the fastest cache; each block is checked, then each *term* of the plan
is summed over it. All sums are of whole numbers, hence exact and the same in any order up to 2**53.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from nemo_lab.cost.plan import FULL_PRECISION, LINEAR, MAX
from nemo_lab.cost.vectors import row_dots

BLOCK = 64  # rows; a multiple of 4
BITS = types.Array(types.uint8, 2, "C", readonly=True)  # which takes writable ones, too
I8, I2 = types.Array(types.int64, 2, "C"), types.Array(types.int16, 1, "C")
F8, ROWS, TABLES = (types.Array(types.float64, dimensions, "C") for dimensions in (1, 2, 3))

add_linear, add_max, add_product = row_dots("linear"), row_dots("max"), row_dots("product")


@njit(nogil=True)  # type: ignore[untyped-decorator]
def _add_term(
    rows: int,
    first: int,
    stride: int,
    term: NDArray[np.int64],
    limbs: int,
    units: NDArray[np.float64],
    sums: int,
) -> None:
    """Add one term to the sums of ``rows`` rows, rounded up to whole groups; see ``row_dots``."""
    kind, _, start, offset, steps, at = term
    table = limbs + 2 * at
    low, high = units
    for row in range(0, rows, 4):
        x, total = first + row * stride + start, sums + 8 * row
        if kind == LINEAR:
            add_linear(x, stride, offset, steps, table, low, high, total)
        elif kind == MAX:
            add_max(x, stride, offset, steps, table, low, high, total)
        else:
            add_product(x, stride, offset, steps, table, low, high, total)


@njit(
    [types.int64(BITS, types.int64, types.int64, I8, ROWS, I2, I8, F8, ROWS, ROWS)],
    cache=True,
    nogil=True,
    error_model="numpy",  # a division that could raise would not be vectorised
)  # type: ignore[untyped-decorator]
def sum_costs(
    bits: NDArray[np.uint8],
    begin: int,
    end: int,
    terms: NDArray[np.int64],
    units: NDArray[np.float64],
    limbs: NDArray[np.int16],
    pairs: NDArray[np.int64],
    pair_macs: NDArray[np.float64],
    ends: NDArray[np.float64],
    out: NDArray[np.float64],
) -> int:
    """Both ratios of the rows ``begin`` to ``end``, written to the first two columns of ``out``.

    Args:
        bits: uint8[N, Q].
        begin, end: which rows.
        terms: int64[T, 6], see ``Plan.terms``.
        units: float64[T, 2], what a unit of each limb counts.
        limbs: int16[...], the coefficients of all terms, one after the other.
        pairs: int64[P, 3], pairs that are in no term: two nodes, and ``MAX`` or ``PRODUCT``.
        pair_macs: float64[P].
        ends: float64[2, 2], what is added to each sum, then what it is divided by.
        out: float64[N, 2 + tables].

    Returns:
        -1, or the first row with a width outside 1 to 32; ``out`` is then of no use.
    """
    nodes = bits.shape[1]
    size = BLOCK * nodes
    sums = np.empty((2, BLOCK))
    last = np.empty(0, dtype=np.uint8)  # a copy of the rows that end the array: vectors read past them
    slack = 0
    for t in range(terms.shape[0]):
        slack = max(slack, terms[t, 2] + terms[t, 3] + 32 * terms[t, 4] - nodes)
    flat = bits.reshape(-1)
    for row in range(begin, end, BLOCK):
        rows = min(BLOCK, end - row)
        here = flat[row * nodes : (row + rows) * nodes]
        worst = np.uint8(0)
        for i in range(here.shape[0]):
            worst = max(worst, np.uint8(here[i] - np.uint8(1)))  # 0 becomes 255
        if worst >= FULL_PRECISION:
            for i in range(here.shape[0]):
                if np.uint8(here[i] - np.uint8(1)) >= FULL_PRECISION:
                    return int(row + i // nodes)
        address = here.ctypes.data
        if row * nodes + size + slack > flat.shape[0]:
            groups = (rows + 3) // 4 * 4
            last = np.ones(groups * nodes + slack, dtype=np.uint8)
            last[: here.shape[0]] = here
            address = last.ctypes.data
        sums[0] = ends[0, 0]
        sums[1] = ends[0, 1]
        for t in range(terms.shape[0]):
            target = sums.ctypes.data + terms[t, 1] * 8 * BLOCK
            _add_term(rows, address, nodes, terms[t], limbs.ctypes.data, units[t], target)
        for p in range(pairs.shape[0]):
            left, right, kind = pairs[p]
            for r in range(rows):
                a, b = int(here[r * nodes + left]), int(here[r * nodes + right])
                sums[1, r] += pair_macs[p] * (max(a, b) if kind == MAX else a * b)
        for cost in range(2):
            for r in range(BLOCK):  # all of them, so that the division takes whole registers
                sums[cost, r] /= ends[1, cost]
        for r in range(rows):
            out[row + r, 0] = sums[0, r]
            out[row + r, 1] = sums[1, r]
    return -1


@njit(
    [types.void(BITS, types.int64, types.int64, TABLES, ROWS)],
    cache=True,
    nogil=True,
)  # type: ignore[untyped-decorator]
def sum_tables(
    bits: NDArray[np.uint8], begin: int, end: int, tables: NDArray[np.float64], out: NDArray[np.float64]
) -> None:
    """sum_n table[n, b_n] of the rows ``begin`` to ``end``, written to ``out`` from its third column on.

    Args:
        bits: uint8[N, Q], widths of 1 to 32.
        begin, end: which rows.
        tables: float64[K, Q, 33], cost of each node at each width; NaN where it is not known.
        out: float64[N, 2 + K].
    """
    for row in range(begin, end):
        for k in range(tables.shape[0]):
            total = 0.0
            for node in range(bits.shape[1]):
                total += tables[k, node, bits[row, node]]
            out[row, 2 + k] = total
