"""Uniform affine quantization (docs/method.md, section 2)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

_kernels: Any = None  # numba is paid for by the first quantized tensor


class Affine(NamedTuple):
    """Scale s and the bounds of q - z, so that x_hat = clip(round(x / s), low, high) * s."""

    scale: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Codes:
    """A quantized tensor as bytes: x_hat = (codes + low) * scale, the very numbers that flowed."""

    codes: Tensor
    scale: float
    low: float

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.codes.numel()

    def decode(self) -> Tensor:
        """float32, a new tensor in the layout of the one that was coded."""
        out = torch.empty_like(self.codes, dtype=torch.float32)
        _load().decode(_flat(self.codes), _flat(out), self.scale, self.low)
        return out


def affine(minimum: float, maximum: float, bits: int, symmetric: bool = False) -> Affine:
    """The quantizer of a range at a width.

    s = (x_max - x_min) / (2^b - 1), z = round(-2^(b-1) - x_min / s); the range is widened to contain 0,
    so that zero stays exact. A range of no extent gets s = 1.

    Symmetric: z = 0 and s = max(|x_min|, |x_max|) / (2^(b-1) - 1); a range without negative numbers uses
    all 2^b integers from 0, as with x_min = 0 above.
    """
    minimum, maximum = min(minimum, 0.0), max(maximum, 0.0)
    if symmetric and minimum < 0:
        maximum = max(maximum, -minimum)
        highest = 2 ** (bits - 1) - 1
        return Affine(_positive(maximum / highest), -highest, highest)
    scale = _positive((maximum - minimum) / (2**bits - 1))
    zero = round(-(2 ** (bits - 1)) - minimum / scale)
    return Affine(scale, -(2 ** (bits - 1)) - zero, 2 ** (bits - 1) - 1 - zero)


def _positive(scale: float) -> float:
    return scale if scale >= torch.finfo(torch.float32).tiny else 1.0


def fake_quantize(x: Tensor, minimum: float, maximum: float, bits: int, symmetric: bool = False) -> Tensor:
    """x_hat = (clip(round(x / s) + z, -2^(b-1), 2^(b-1) - 1) - z) * s, a new tensor."""
    return rounded(x, affine(minimum, maximum, bits, symmetric))


def rounded(x: Tensor, quantizer: Affine) -> Tensor:
    """The same as a new tensor without gaps; of channels last, in channels last."""
    if not _is_plain(x):
        return round_(dense_copy(x), quantizer)
    out = torch.empty_like(x)
    _load().fake_quantize_into(_flat(x), _flat(out), *quantizer)
    return out


def round_(x: Tensor, quantizer: Affine) -> Tensor:
    """The same in place: z is an integer, so it moves from the argument into the bounds.

    One pass over memory on a CPU where the numbers lie densely; elsewhere torch's four, with the very same
    results.
    """
    scale, low, high = quantizer
    if not _is_plain(x):
        return x.div_(scale).round_().clamp_(low, high).add_(0.0).mul_(scale)
    _load().fake_quantize(_flat(x), scale, low, high)
    return x


def round_and_keep_(x: Tensor, quantizer: Affine) -> Codes | None:
    """The same, and the integers as bytes; None where they do not fit one, or do not lie densely."""
    scale, low, high = quantizer
    if not (_is_plain(x) and high - low <= 255):
        round_(x, quantizer)
        return None
    codes = torch.empty_like(x, dtype=torch.uint8)
    numbers = dense(x)
    _load().fake_quantize_and_keep(numbers.numpy(), _flat(codes), scale, low, high)
    has_code = not math.isnan(torch.dot(numbers, numbers))  # there is none for NaN; squares may overflow
    return Codes(codes, scale, low) if has_code else None


def _load() -> Any:
    global _kernels
    if _kernels is None:
        from nemo_lab.quantize import kernels

        _kernels = kernels
    return _kernels


def _is_plain(x: Tensor) -> bool:
    """float32 on the CPU, without gaps: contiguous, or channels last."""
    return (
        x.dtype == torch.float32
        and x.device.type == "cpu"
        and (x.is_contiguous() or (x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)))
    )


def dense(x: Tensor) -> Tensor:
    """All numbers of a tensor in the order of memory, [M]; a view if they lie without gaps."""
    if x.ndim == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last):
        x = x.permute(0, 2, 3, 1)
    return x.reshape(-1)


def dense_copy(x: Tensor) -> Tensor:
    """A copy without gaps."""
    as_it_lies = x.is_contiguous(memory_format=torch.channels_last) if x.ndim == 4 else False
    return x.clone(memory_format=torch.preserve_format if as_it_lies else torch.contiguous_format)


def _flat(x: Tensor) -> Any:
    return dense(x).numpy()
