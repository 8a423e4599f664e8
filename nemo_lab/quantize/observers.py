"""Observers of activations during calibration, and the range that each settles on for every width."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from nemo_lab.errors import DataError
from nemo_lab.quantize.affine import Affine, affine, dense, round_
from nemo_lab.quantize.config import QuantizationConfig

SAMPLES = 4096  # about so many of a tensor in a batch
QUANTILE_SAMPLES = 2**20
SHRINK = np.linspace(1.0, 0.2, 33)  # candidates for the range of least squared error
Range = tuple[float, float]


@dataclass
class Observer:
    """Sees one activation on the calibration set, batch by batch.

    Attributes:
        config: how ranges are found.
        extremes: (minimum, maximum) of each batch, or its two percentiles.
        samples: float32[...] of each batch, see ``spread``.
    """

    config: QuantizationConfig
    extremes: list[Range] = field(default_factory=list)
    samples: list[Tensor] = field(default_factory=list)

    def observe(self, x: Tensor) -> None:
        """Take in one batch."""
        flat = dense(x)
        low, high = (float(value) for value in torch.aminmax(flat))
        sample = spread(flat, SAMPLES).float().cpu().clone()
        if self.config.ranges == "percentile" and np.isfinite([low, high]).all():
            share = self.config.percentile / 100
            most = spread(flat, QUANTILE_SAMPLES).float().cpu().numpy()
            low, high = (float(q) for q in np.quantile(most, [1 - share, share]))
        self.extremes.append((low, high))
        self.samples.append(sample)


def spread(flat: Tensor, count: int) -> Tensor:
    """About ``count`` numbers of [M], every so manyth: a view.

    The step has no divisor in common with M, so none with the number of channels, rows or columns: a sample
    meets each of them equally often, whatever the order of memory.
    """
    step = max(1, flat.numel() // count)
    while math.gcd(step, flat.numel()) > 1:
        step += 1
    return flat[::step]


class Ranges:
    """The range of one activation at every width.

    Args:
        name: for the error message.
        observer: what saw it.

    Raises:
        DataError: if a batch was not finite.
    """

    def __init__(self, name: str, observer: Observer) -> None:
        extremes = np.array(observer.extremes, dtype=np.float64)
        if not np.isfinite(extremes).all():
            raise DataError(
                f"activation {name!r} is not finite on the calibration set",
                "remove NaN and infinity from the calibration images, or check the weights",
            )
        low, high = extremes.mean(axis=0)
        self.overall: Range = (float(low), float(high))
        self.sample = torch.cat(observer.samples)
        self._config = observer.config
        self._best: dict[int, Range] = {}
        self._fixed: dict[int, Affine] = {}

    def fixed(self, bits: int, quantizer: Affine) -> Ranges:
        """The same with another quantizer at a width."""
        other = copy.copy(self)
        other._fixed = {**self._fixed, bits: quantizer}
        return other

    def at(self, bits: int) -> Range:
        """The range at a width."""
        if self._config.ranges != "mse":
            return self.overall
        if bits not in self._best:
            self._best[bits] = best_range(self.sample, *self.overall, bits, self._config.symmetric)
        return self._best[bits]

    def quantizer(self, bits: int) -> Affine:
        """The quantizer at a width."""
        return self._fixed.get(bits) or affine(*self.at(bits), bits=bits, symmetric=self._config.symmetric)

    def sqnr(self, bits: int) -> float:
        """Signal to quantization noise on the sample at a width, in dB."""
        return sqnr(self.sample, round_(self.sample.clone(), self.quantizer(bits)))


def best_range(x: Tensor, low: float, high: float, bits: int, symmetric: bool) -> Range:
    """The shrunken version of a range at which quantizing ``x`` has the least squared error."""
    from nemo_lab.quantize.kernels import squared_error

    flat = dense(x.detach()).contiguous().cpu().numpy()
    candidates = [(low * share, high * share) for share in SHRINK.tolist()]
    errors = [squared_error(flat, *affine(*bounds, bits=bits, symmetric=symmetric)) for bounds in candidates]
    return candidates[int(np.argmin(errors))]


def sqnr(x: Tensor, x_hat: Tensor) -> float:
    """Signal to quantization noise in dB: 10 log10(sum x^2 / sum (x - x_hat)^2); infinite without noise."""
    signal = float(x.double().square().sum())
    noise = float((x.double() - x_hat.double()).square().sum())
    if noise == 0:
        return float("inf")
    return 10 * float(np.log10(signal / noise)) if signal else float("-inf")
