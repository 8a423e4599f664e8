"""Uniform asymmetric affine quantization, per tensor (METHOD section 2)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Affine(NamedTuple):
    """Scale s and the bounds of q - z, so that x_hat = clip(round(x / s), low, high) * s."""

    scale: float
    low: float
    high: float


def affine(minimum: float, maximum: float, bits: int) -> Affine:
    """The quantizer of a range at a width.

    s = (x_max - x_min) / (2^b - 1), z = round(-2^(b-1) - x_min / s); the range is widened to
    contain 0, so that zero stays exact. A range of no extent gets s = 1.
    """
    minimum, maximum = min(minimum, 0.0), max(maximum, 0.0)
    scale = (maximum - minimum) / (2**bits - 1)
    if scale < torch.finfo(torch.float32).tiny:
        scale = 1.0
    zero = round(-(2 ** (bits - 1)) - minimum / scale)
    return Affine(scale, -(2 ** (bits - 1)) - zero, 2 ** (bits - 1) - 1 - zero)


def fake_quantize(x: Tensor, minimum: float, maximum: float, bits: int) -> Tensor:
    """x_hat = (clip(round(x / s) + z, -2^(b-1), 2^(b-1) - 1) - z) * s, a new tensor."""
    return fake_quantize_(x.clone(), affine(minimum, maximum, bits))


def fake_quantize_(x: Tensor, quantizer: Affine) -> Tensor:
    """The same in place: z is an integer, so it moves from the argument into the bounds."""
    return x.div_(quantizer.scale).round_().clamp_(quantizer.low, quantizer.high).mul_(quantizer.scale)


def quantize_weight(weight: Tensor, bits: int) -> Tensor:
    """A weight tensor fake-quantized over its own minimum and maximum."""
    with torch.no_grad():
        return fake_quantize(weight, float(weight.min()), float(weight.max()), bits)
