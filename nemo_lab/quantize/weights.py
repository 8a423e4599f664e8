"""Weights at every width: quantized once, kept within a memory cap."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor

from nemo_lab.quantize.ranges import SHRINK, Calibration


class Weights:
    """The stored tensors of a network, fake-quantized on demand.

    Args:
        full: name of each -> float32 tensor in full precision.
        axes: name of each -> the axis of its output channels.
        calibration: how their ranges are found.
        limit: bytes of quantized weights to keep.
    """

    def __init__(
        self,
        full: Mapping[str, Tensor],
        axes: Mapping[str, int],
        calibration: Calibration,
        limit: int = 2**28,
    ) -> None:
        self.full, self.axes = dict(full), dict(axes)
        self.calibration, self.limit = calibration, limit
        self.bytes = 0
        self._kept: OrderedDict[tuple[str, int], Tensor] = OrderedDict()

    def at(self, name: str, bits: int) -> Tensor:
        """A tensor fake-quantized to a width: its own shape, not to be written to."""
        found = self._kept.get((name, bits))
        if found is None:
            found = self._kept[name, bits] = self._quantized(name, bits)
            self.bytes += found.nbytes
            while self.bytes > self.limit and len(self._kept) > 1:
                self.bytes -= self._kept.popitem(last=False)[1].nbytes
        else:
            self._kept.move_to_end((name, bits))
        return found

    def _quantized(self, name: str, bits: int) -> Tensor:
        weight = self.full[name]
        axis = self.axes[name]
        rule = self.calibration
        moved = weight.movedim(axis, 0) if rule.per_channel else weight
        rows = moved.reshape(len(moved) if rule.per_channel else 1, -1)
        mse = rule.rule == "mse"
        found = quantize_rows(rows, bits, symmetric=rule.symmetric, mse=mse).reshape(moved.shape)
        found = found.movedim(0, axis) if rule.per_channel else found
        return torch.empty_like(weight).copy_(found)


def quantize_rows(rows: Tensor, bits: int, *, symmetric: bool = False, mse: bool = False) -> Tensor:
    """float32[C, M], each row fake-quantized over its own numbers by METHOD section 2, a new tensor.

    With ``mse``, over the shrunken version of its range that leaves the least squared error.
    """
    extremes = torch.aminmax(rows, dim=1)
    low, high = extremes.min.double().clamp(max=0.0), extremes.max.double().clamp(min=0.0)
    best, least = torch.empty_like(rows), torch.full_like(low, torch.inf)
    for share in SHRINK if mse else (1.0,):
        found = _round_rows(rows, low * share, high * share, bits, symmetric)
        if not mse:
            return found
        error = (found - rows).square().sum(1).double()
        better = error < least
        least = torch.where(better, error, least)
        best[better] = found[better]
    return best


def _round_rows(rows: Tensor, low: Tensor, high: Tensor, bits: int, symmetric: bool) -> Tensor:
    """The formulas of ``affine``, for a range per row: float64[C]."""
    middle = 2 ** (bits - 1)
    scale = _positive((high - low) / (2**bits - 1))
    zero = torch.round(-middle - low / scale)
    lowest, highest = -middle - zero, middle - 1 - zero
    if symmetric:
        signed = low < 0
        scale = torch.where(signed, _positive(torch.maximum(high, -low) / (middle - 1)), scale)
        lowest = torch.where(signed, 1.0 - middle, lowest)
        highest = torch.where(signed, middle - 1.0, highest)
    s, lowest, highest = (x.to(rows.dtype)[:, None] for x in (scale, lowest, highest))
    return torch.div(rows, s).round_().clamp_(lowest, highest).mul_(s)


def _positive(scale: Tensor) -> Tensor:
    return torch.where(scale < torch.finfo(torch.float32).tiny, 1.0, scale)
