"""Integers of 2 to 16 bits without a gap between them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

AT_ONCE = 2**20  # numbers, a multiple of 8: each has a byte for every bit meanwhile


def packed(codes: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """Codes of any shape, each below 2^bits, as bytes: lowest bit first, in C order, up to a whole byte.

    >>> packed(np.array([1, 2, 3]), 2)
    array([57], dtype=uint8)
    """
    flat, places = codes.reshape(-1), np.arange(bits, dtype=np.uint16)
    parts = [
        np.packbits((flat[start : start + AT_ONCE, None].astype(np.uint16) >> places) & 1, bitorder="little")
        for start in range(0, len(flat), AT_ONCE)
    ]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.uint8)


def unpacked(data: NDArray[np.uint8], bits: int, count: int) -> NDArray[Any]:
    """The first ``count`` codes: uint8, or uint16 above 8 bits.

    >>> unpacked(np.array([57], dtype=np.uint8), 2, 3)
    array([1, 2, 3], dtype=uint8)
    """
    kind = np.uint8 if bits <= 8 else np.uint16
    found, step = np.empty(count, dtype=kind), AT_ONCE * bits // 8
    weights = (1 << np.arange(bits)).astype(np.uint16)
    for number, start in enumerate(range(0, count, AT_ONCE)):
        many = min(AT_ONCE, count - start)
        ones = np.unpackbits(data[number * step : (number + 1) * step], count=many * bits, bitorder="little")
        found[start : start + many] = ones.reshape(many, bits).astype(np.uint16) @ weights
    return found


def bytes_of(count: int, bits: int) -> int:
    """How many bytes so many codes take.

    >>> bytes_of(3, 3)
    2
    """
    return -(-count * bits // 8)
