"""Rounding that learns how long its steps are (LSQ: Esser et al., 2020, arXiv 1902.08153)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nemo_lab.quantize.affine import Affine


class LearnedSteps(nn.Module):
    """Scales of one tensor as parameters, and the tensor rounded by them.

    s = s_0 exp(t), t is learned: so they stay positive, and a step of the optimizer changes a small and a
    large one by the same share. Zero points stay what they are.

    Args:
        quantizers: one, or one for each run of the tensor, along its first axis first.
        counts: how many runs lie along each axis of the tensor; () for one quantizer.
        learns: whether the scales are learned.
        by_example: whether the first axis of the tensor is that of a batch.
        floor, ceiling: of an activation function that the rounding has absorbed.
    """

    first: Tensor
    low: Tensor
    high: Tensor

    def __init__(
        self,
        quantizers: Sequence[Affine],
        counts: Sequence[int] = (),
        *,
        learns: bool = True,
        by_example: bool = False,
        floor: float = -math.inf,
        ceiling: float = math.inf,
    ) -> None:
        super().__init__()
        scales, low, high = (
            torch.tensor(part, dtype=torch.float32) for part in zip(*quantizers, strict=True)
        )
        shape = tuple(counts)
        for name, values in (("first", scales), ("low", low), ("high", high)):
            self.register_buffer(name, values.reshape(shape), persistent=False)
        self.change = nn.Parameter(torch.zeros(shape, dtype=torch.float32), requires_grad=learns)
        self.floor, self.ceiling, self.by_example = floor, ceiling, by_example

    @property
    def scale(self) -> Tensor:
        """As they are now, float32 in the shape of the runs."""
        return self.first * self.change.exp()

    def quantizers(self) -> tuple[Affine, ...]:
        """As they are now."""
        parts = (one.detach().reshape(-1).tolist() for one in (self.scale, self.low, self.high))
        return tuple(Affine(*one) for one in zip(*parts, strict=True))

    def set(self, quantizers: Sequence[Affine]) -> None:
        """Begin again from other quantizers."""
        parts = zip(*quantizers, strict=True)
        for mine, values in zip((self.first, self.low, self.high), parts, strict=True):
            mine.copy_(torch.tensor(values).reshape(mine.shape))

    def forward(self, x: Tensor) -> Tensor:
        """The tensor, rounded; gradients pass through where nothing was clipped."""
        if (self.floor, self.ceiling) != (-math.inf, math.inf):
            x = torch.clamp(x, self.floor, self.ceiling)
        count = x.numel() / self.change.numel() / (max(1, len(x)) if self.by_example else 1)
        highest = float(torch.maximum(self.high, -self.low).max())
        share = 1 / math.sqrt(max(1.0, count * highest))
        found: Tensor = _Rounding.apply(
            x, *(spread(part, x) for part in (self.scale, self.low, self.high)), share
        )
        return found


def spread(values: Tensor, x: Tensor) -> Tensor:
    """Numbers of the runs of a tensor as they broadcast to it."""
    for axis, count in enumerate(values.shape):
        if count not in (1, x.shape[axis]):
            lengths = torch.tensor([len(part) for part in torch.arange(x.shape[axis]).tensor_split(count)])
            values = values.repeat_interleave(lengths.to(values.device), axis)
    return values


class _Rounding(torch.autograd.Function):
    """clip(round(x / s), low, high) * s, with the gradients of LSQ, that of the scale times ``share``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, low: Tensor, high: Tensor, share: float) -> Tensor:
        """The tensor, rounded."""
        steps = x / scale
        codes = steps.round().clamp(low, high)
        ctx.save_for_backward(steps, codes, scale, low, high)
        ctx.share = share
        return codes * scale

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """Of the tensor, and of the scales."""
        (gradient,) = gradients
        steps, codes, scale, low, high = ctx.saved_tensors
        inside = (steps >= low) & (steps <= high)
        of_scale = None
        if ctx.needs_input_grad[1]:
            shares = gradient * torch.where(inside, codes - steps, codes)
            of_scale = shares.sum_to_size(scale.shape) * ctx.share
        return gradient * inside, of_scale, None, None, None
