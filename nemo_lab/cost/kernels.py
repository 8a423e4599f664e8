"""Numba kernels: bit-widths to exact costs. Arrays in, arrays out; the arrays are those of ``Counts``.

Serial and ``nogil``: safe from any number of threads at once. Compiled once and cached on disk.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from nemo_lab.workload.records import FULL_PRECISION

Bits = NDArray[np.uint8]
Floats = NDArray[np.float64]

ROWS = types.Array(types.uint8, 2, "C", readonly=True)  # which takes writable ones, too
I2 = types.Array(types.int64, 2, "C")
F1, F2, F3 = (types.Array(types.float64, dimensions, "C") for dimensions in (1, 2, 3))
COUNTS = (F1, I2, F1, types.boolean, F1, F1)  # params, operands, macs, product, constants, units


@njit(nogil=True)  # type: ignore[untyped-decorator]
def _width(bits: Bits, node: int) -> float:
    return float(bits[node]) if node >= 0 else float(-node)


@njit(nogil=True)  # type: ignore[untyped-decorator]
def _per_mac(left: float, right: float, product: bool) -> float:
    """Bit-operations of one multiply-accumulate."""
    return left * right if product else max(left, right)


@njit(nogil=True, fastmath={"reassoc"})  # type: ignore[untyped-decorator]  # whole numbers: any order is exact
def _size(bits: Bits, params: Floats) -> float:
    """Bits stored by the nodes of one configuration uint8[Q]."""
    size = 0.0
    for q in range(len(bits)):
        size += params[q] * bits[q]
    return size


@njit(nogil=True, fastmath={"reassoc"})  # type: ignore[untyped-decorator]
def _work(bits: Bits, operands: NDArray[np.int64], macs: Floats, product: bool) -> float:
    """Bit-operations of the layers of one configuration uint8[Q]."""
    work = 0.0
    for layer in range(len(macs)):
        left, right = _width(bits, operands[layer, 0]), _width(bits, operands[layer, 1])
        work += macs[layer] * _per_mac(left, right, product)
    return work


@njit(nogil=True)  # type: ignore[untyped-decorator]
def _in_range(bits: Bits) -> bool:
    low, high = np.uint8(255), np.uint8(0)
    for n in range(bits.shape[0]):
        for q in range(bits.shape[1]):
            low, high = min(low, bits[n, q]), max(high, bits[n, q])
    return bool(bits.size == 0 or (low >= 1 and high <= FULL_PRECISION))


@njit([types.boolean(ROWS, *COUNTS, F3, F2)], cache=True, nogil=True)  # type: ignore[untyped-decorator]
def evaluate(
    bits: Bits,
    params: Floats,
    operands: NDArray[np.int64],
    macs: Floats,
    product: bool,
    constants: Floats,
    units: Floats,
    tables: Floats,
    out: Floats,
) -> bool:
    """Size, work and the tables' costs of every configuration.

    Args:
        bits: uint8[N, Q].
        params, operands, macs, constants: see ``Counts``.
        product: whether a MAC costs the product of its widths, not the wider.
        units: float64[2], what size and work are divided by.
        tables: float64[K, Q, 33], cost of each node at each width; NaN where it is not known.
        out: float64[N, 2 + K], written.

    Returns:
        False if a width is outside 1 to 32; ``out`` is then of no use.
    """
    if not _in_range(bits):
        return False
    for n in range(len(bits)):
        out[n, 0] = (constants[0] + _size(bits[n], params)) / units[0]
        out[n, 1] = (constants[1] + _work(bits[n], operands, macs, product)) / units[1]
        for k in range(len(tables)):
            total = 0.0
            for q in range(bits.shape[1]):
                total += tables[k, q, bits[n, q]]
            out[n, 2 + k] = total
    return True


@njit([types.boolean(ROWS, ROWS, *COUNTS, F3, F3)], cache=True, nogil=True)  # type: ignore[untyped-decorator]
def evaluate_neighbours(
    bits: Bits,
    widths: Bits,
    params: Floats,
    operands: NDArray[np.int64],
    macs: Floats,
    product: bool,
    constants: Floats,
    units: Floats,
    tables: Floats,
    out: Floats,
) -> bool:
    """What ``evaluate`` finds, to the last digit, if one node alone takes another width.

    Args:
        bits: uint8[1, Q].
        widths: uint8[1, W].
        params, operands, macs, product, constants, units, tables: see ``evaluate``.
        out: float64[2 + K, Q, W], written: the costs with node q at the w-th width.

    Returns:
        False if a width is outside 1 to 32; ``out`` is then of no use.
    """
    if not (_in_range(bits) and _in_range(widths)):
        return False
    row, others = bits[0], widths[0]
    size = constants[0] + _size(row, params)
    work = constants[1] + _work(row, operands, macs, product)
    for q in range(len(row)):
        for w in range(len(others)):
            out[0, q, w] = size + params[q] * (_width(others, w) - _width(row, q))
            out[1, q, w] = work
    for layer in range(len(macs)):  # its work changes with each of its two nodes
        left, right = operands[layer]
        now = _per_mac(_width(row, left), _width(row, right), product)
        for w in range(len(others)):
            new = _width(others, w)
            if left >= 0:
                other = new if right == left else _width(row, right)
                out[1, left, w] += macs[layer] * (_per_mac(new, other, product) - now)
            if right >= 0 and right != left:
                out[1, right, w] += macs[layer] * (_per_mac(_width(row, left), new, product) - now)
    for cost in range(2):
        out[cost] /= units[cost]
    for k in range(len(tables)):
        before = 0.0
        for q in range(len(row)):
            for w in range(len(others)):
                out[2 + k, q, w] = before + tables[k, q, others[w]]
            for later in range(q + 1, len(row)):  # one by one, to round as ``evaluate`` does
                for w in range(len(others)):
                    out[2 + k, q, w] += tables[k, later, row[later]]
            before += tables[k, q, row[q]]
    return True
