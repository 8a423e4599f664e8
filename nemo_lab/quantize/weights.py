"""Weights at every width: quantized once, kept within a memory cap."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from nemo_lab.errors import DataError
from nemo_lab.interruption import check_interrupted
from nemo_lab.quantize.affine import Affine, affine, round_
from nemo_lab.quantize.config import QuantizationConfig
from nemo_lab.quantize.observers import best_range


class Weights:
    """The stored tensors of a network, fake-quantized on demand.

    Args:
        full: name of each -> float32 tensor in full precision.
        scales: name of each -> how many ranges lie along each of its axes, if it has one per channel.
        config: how their ranges are found.
        limit: bytes of quantized weights to keep.
    """

    def __init__(
        self,
        full: Mapping[str, Tensor],
        scales: Mapping[str, Sequence[int]],
        config: QuantizationConfig,
        limit: int = 2**28,
    ) -> None:
        self.full, self.scales = dict(full), dict(scales)
        self.config, self.limit = config, limit
        self.bytes = 0
        self._affine: dict[tuple[str, int], tuple[Affine, ...]] = {}
        self._kept: OrderedDict[tuple[str, int], Tensor] = OrderedDict()

    def at(self, name: str, bits: int) -> Tensor:
        """A tensor fake-quantized to a width: its own shape, not to be written to.

        Raises:
            DataError: if the tensor is not finite.
            Interrupted: between two tensors, see ``nemo_lab.check_interrupted``.
        """
        found = self._kept.get((name, bits))
        if found is None:
            check_interrupted()  # the least squared error of a large one takes its time
            found = self._kept[name, bits] = self._quantized(name, bits)
            self.bytes += found.nbytes
            while self.bytes > self.limit and len(self._kept) > 1:
                self.bytes -= self._kept.popitem(last=False)[1].nbytes
        else:
            self._kept.move_to_end((name, bits))
        return found

    def quantizers(self, name: str, bits: int) -> tuple[Affine, ...]:
        """The quantizers of a tensor at a width: one, or one for each channel.

        Raises:
            DataError: if the tensor is not finite.
        """
        found = self._affine.get((name, bits))
        if found is None:
            full, config = self.full[name], self.config
            if not bool(torch.isfinite(full).all()):
                raise DataError(
                    f"weight {name!r} is not finite", "train the network again, or load other weights"
                )
            parts, mse = runs(full, self.scales_of(name)), config.ranges == "mse"
            found = tuple(weight_quantizer(part, bits, symmetric=config.symmetric, mse=mse) for part in parts)
            self._affine[name, bits] = found
        return found

    def fix(self, name: str, bits: int, quantizers: Sequence[Affine]) -> None:
        """Quantize a tensor at a width by other quantizers than those of its numbers' own range."""
        self._affine[name, bits] = tuple(quantizers)
        kept = self._kept.pop((name, bits), None)
        self.bytes -= 0 if kept is None else kept.nbytes

    def scales_of(self, name: str) -> Sequence[int]:
        """How many quantizers lie along each axis of a tensor; () for one."""
        return self.scales[name] if self.config.per_channel else ()

    def _quantized(self, name: str, bits: int) -> Tensor:
        found = self.full[name].clone()
        for part, quantizer in zip(
            runs(found, self.scales_of(name)), self.quantizers(name, bits), strict=True
        ):
            round_(part, quantizer)
        return found


def quantize_weight(
    weight: Tensor, bits: int, scales: Sequence[int] = (), *, symmetric: bool = False, mse: bool = False
) -> Tensor:
    """A float32 tensor fake-quantized over the ranges of its own numbers: a new one with the same strides.

    Args:
        weight: finite numbers.
        bits: the width.
        scales: how many ranges lie along each axis, for runs of equal length; none for one range.
        symmetric: see ``nemo_lab.quantize.affine.affine``.
        mse: use the shrunken version of a range that leaves the least squared error.
    """
    found = weight.clone()
    for part in runs(found, scales):
        round_(part, weight_quantizer(part, bits, symmetric=symmetric, mse=mse))
    return found


def runs(weight: Tensor, scales: Sequence[int]) -> list[Tensor]:
    """The parts of a tensor that have a quantizer each, as views, along the first axis first."""
    parts = [weight]
    for axis, count in enumerate(scales):
        parts = [run for part in parts for run in part.tensor_split(count, axis)]
    return parts


def weight_quantizer(part: Tensor, bits: int, *, symmetric: bool, mse: bool) -> Affine:
    """The quantizer of finite numbers over their own range, see ``quantize_weight``."""
    low, high = (float(value) for value in torch.aminmax(part))
    if mse:
        low, high = best_range(part, min(low, 0.0), max(high, 0.0), bits, symmetric)
    return affine(low, high, bits, symmetric)
