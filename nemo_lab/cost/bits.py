"""Configurations as people give them, brought to one array."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.errors import ArgumentError, BitWidthError, shown
from nemo_lab.workload.records import FULL_PRECISION


def as_bits(bits: Any, num_nodes: int, allowed: tuple[int, ...] | None = None) -> NDArray[np.uint8]:
    """Check configurations and bring them to contiguous uint8[N, Q].

    Raises:
        BitWidthError: on a wrong shape, fractions, or widths that are not allowed.
    """
    try:
        array = np.asarray(bits)
    except Exception as error:  # also what an object of another library raises
        raise BitWidthError(
            f"bits are not an array: {error}", f"give one width for each of the {num_nodes} nodes"
        ) from error
    array = _shaped(array, num_nodes)
    if array.dtype.kind not in "iu" and not (
        array.dtype.kind == "f" and bool(np.all(array == np.round(array)))
    ):
        raise BitWidthError(f"bits of type {array.dtype} are not whole numbers", "give integers")
    if array.size == 0:
        return np.ascontiguousarray(array, dtype=np.uint8)
    if allowed is None:
        fits = bool(array.min() >= 1 and array.max() <= FULL_PRECISION)
    elif fits := bool(array.min() >= 0 and array.max() <= 255):
        array = np.ascontiguousarray(array, dtype=np.uint8)
        permitted = np.zeros(256, dtype=bool)
        permitted[list(allowed)] = True
        fits = bool(permitted[array].all())
    if not fits:
        permitted = np.asarray(allowed if allowed is not None else range(1, FULL_PRECISION + 1))
        value = array[~np.isin(array, permitted)][0]
        choice = ", ".join(map(str, allowed)) if allowed is not None else "1 to 32"
        raise BitWidthError(f"bit-width {value} is not allowed", f"choose from {choice}")
    return np.ascontiguousarray(array, dtype=np.uint8)


def as_rows(bits: Any, num_nodes: int) -> NDArray[np.uint8]:
    """Configurations as contiguous uint8[N, Q]; where they are that already, the kernels check the widths."""
    if type(bits) is np.ndarray and bits.dtype == np.uint8 and bits.flags.c_contiguous:
        return _shaped(bits, num_nodes)
    return as_bits(bits, num_nodes)


def _shaped(array: NDArray[Any], num_nodes: int) -> NDArray[Any]:
    rows = array[None] if array.ndim == 1 else array
    if rows.ndim != 2 or rows.shape[1] != num_nodes:
        wrong = f"bits have shape {array.shape}" if array.ndim else f"bits={shown(array)}"
        raise BitWidthError(wrong, f"give one width for each of the {num_nodes} nodes")
    return rows


def check_mask(given: Any, shape: tuple[int, int]) -> None:
    """Refuse what is not bool of a shape, with a width or more in each row."""
    is_mask = isinstance(given, np.ndarray) and given.dtype == bool and given.shape == shape
    if not is_mask or not given.any(axis=1).all():
        raise ArgumentError(
            f"allowed={shown(given)}", f"give bool{list(shape)}, with a width or more for each node"
        )


def counted(widths: Any) -> tuple[Any, int]:
    """Widths as a list or an array, and how many they are."""
    try:
        several = widths if isinstance(widths, np.ndarray) else list(widths)
        return several, len(several)
    except Exception:  # no sequence, or what the object's own methods raise
        return widths, 1
