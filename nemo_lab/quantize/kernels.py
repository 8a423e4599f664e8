"""Numba kernels: rounding in one pass over memory, with the very results of torch's four.

Serial, ``nogil``, compiled once and cached on disk. No fast math: every operation is rounded as IEEE 754
says, so a kernel and ``x.div_(s).round_().clamp_(low, high).mul_(s)`` agree bit for bit. The callers
are ``nemo_lab.quantize.affine`` and ``nemo_lab.quantize.observers``.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
zero = np.float32(0.0)  # added, so that there is one zero: the sign of -0.0 is not in the codes


@njit("void(f4[::1], f4, f4, f4)", cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def fake_quantize(x: Floats, scale: float, low: float, high: float) -> None:
    """``x`` = clip(round(x / s), low, high) * s in float32[M]; a second array might overlap: no vectors."""
    for i in range(x.shape[0]):
        value = np.rint(x[i] / scale)
        value = low if value < low else value
        value = high if value > high else value
        x[i] = (value + zero) * scale


@njit("void(f4[::1], f4[::1], f4, f4, f4)", cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def fake_quantize_into(x: Floats, out: Floats, scale: float, low: float, high: float) -> None:
    """The same as ``out`` float32[M], which is not ``x``: faster than a copy that is rounded in place."""
    for i in range(x.shape[0]):
        value = np.rint(x[i] / scale)
        value = low if value < low else value
        value = high if value > high else value
        out[i] = (value + zero) * scale


@njit("void(f4[::1], u1[::1], f4, f4, f4)", cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def fake_quantize_and_keep(
    x: Floats, codes: NDArray[np.uint8], scale: float, low: float, high: float
) -> None:
    """The same, and the integers less their lowest as ``codes`` uint8[M], for ``high - low`` to 255."""
    for i in range(x.shape[0]):
        value = np.rint(x[i] / scale)
        value = low if value < low else value
        value = high if value > high else value
        x[i] = (value + zero) * scale
        codes[i] = np.uint8(np.int32(value - low))


@njit("void(u1[::1], f4[::1], f4, f4)", cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def decode(codes: Bytes, out: Floats, scale: float, low: float) -> None:
    """The numbers that ``fake_quantize_and_keep`` left, from its ``codes``."""
    for i in range(codes.shape[0]):
        out[i] = (np.float32(codes[i]) + low) * scale


@njit("f8(f4[::1], f4, f4, f4)", cache=True, nogil=True, error_model="numpy", fastmath={"reassoc"})  # type: ignore[untyped-decorator]
def squared_error(x: Floats, scale: float, low: float, high: float) -> float:
    """Sum of (x_hat - x)^2 over float32[M]."""
    total = 0.0
    for i in range(x.shape[0]):
        value = np.rint(x[i] / scale)
        value = low if value < low else value
        value = high if value > high else value
        error = value * scale - x[i]
        total += error * error
    return total
