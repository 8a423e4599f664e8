"""Tensors that are written to, by whatever name: what is rounded and read is what was written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nemo_lab import QuantizationProblem, Workload
from nemo_lab.export import quantized_module

SIZE = (48, 6, 5, 5)


def set_slice(x: Tensor) -> Tensor:
    y = torch.zeros_like(x)
    y[:, :2] = x[:, 4:]
    y[:, 2:] = 2 * x[:, :4]
    return y


def multiply_a_view(x: Tensor) -> Tensor:
    y = x + 1
    y[:, :3].mul_(3)
    return y


def set_a_number(x: Tensor) -> Tensor:
    y = 2 * x
    y[:, 0] = 4
    return y


def copy_into(x: Tensor) -> Tensor:
    y = torch.ones_like(x)
    y.narrow(1, 1, 3).copy_(x[:, :3])
    return y


def through_two_views(x: Tensor) -> Tensor:
    y = 2 * x
    y.flatten(2)[:, 1:3].transpose(1, 2)[:, :9] -= 5
    return y


def chunks(x: Tensor) -> Tensor:
    y = 2 * x
    first, second = y.chunk(2, 1)
    first.add_(second)
    return y


def another_view_of_before(x: Tensor) -> Tensor:
    y = 2 * x
    seen = y[:, :3]
    y.clamp_(min=0.5)
    return torch.cat([seen, y[:, 3:]], 1)


def masked_fill(x: Tensor) -> Tensor:
    y = 3 * x
    y[:, 2:].masked_fill_(x[:, 2:] > 0.5, -2.0)
    return y


def by_index(x: Tensor) -> Tensor:
    y = 3 * x
    y[:, [0, 5]] = x[:, [5, 0]]
    return y


def again_and_again(x: Tensor) -> Tensor:
    y = torch.zeros_like(x)
    for channel in range(6):
        y[:, channel] = y[:, channel - 1] / 2 + x[:, channel]
    return y


WRITES: list[Callable[[Tensor], Tensor]] = [
    set_slice, multiply_a_view, set_a_number, copy_into, through_two_views, chunks, another_view_of_before,
    masked_fill, by_index, again_and_again,
]  # fmt: skip


class Net(nn.Module):
    def __init__(self, write: Callable[[Tensor], Tensor], first: bool, guarded: bool) -> None:
        super().__init__()
        self.write, self.first, self.guarded = write, first, guarded
        self.before = nn.Conv2d(6, 6, 3, padding=1)
        self.after = nn.Conv2d(6, 4, 3, padding=1)
        self.beside = nn.Conv2d(6, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        if self.guarded and x.shape[1] != 6:  # which stops torch.fx
            raise ValueError("six channels")
        x = torch.relu(self.before(x)) if self.first else x
        y = self.write(x)
        return (self.after(y) + self.beside(x)).flatten(1)


def mean_square(outputs: Tensor, labels: Tensor) -> Tensor:
    return (outputs - labels).square().mean(1)


BY_EXPORT = {set_slice, set_a_number, through_two_views, by_index, again_and_again}  # torch.fx cannot assign


@pytest.mark.parametrize(
    ("write", "guarded"), [(write, guarded) for write in WRITES for guarded in {write in BY_EXPORT, True}]
)
def test_what_was_written_is_what_is_rounded(write: Callable[[Tensor], Tensor], guarded: bool) -> None:
    """By hand: the tensor that the layer behind reads, rounded over its own range and nothing else."""
    torch.manual_seed(0)
    module, inputs = Net(write, True, guarded).eval(), torch.randn(SIZE)
    with torch.no_grad():
        wanted = module(inputs)
        read = write(torch.relu(module.before(inputs)))
    workload = Workload.from_module(module, inputs[:2])
    assert workload.traced_by == ("torch.export" if guarded else "torch.fx")
    problem = QuantizationProblem(
        workload, inputs, (inputs, wanted), mean_square, calibration_batch=len(inputs), bit_widths=(2, 8, 16)
    )
    node = workload.find("after.input")
    low, high = problem.ranges[node.quantizers[0].name]
    assert (low, high) == pytest.approx((float(read.min()), float(read.max())), rel=1e-5)
    bits = np.full(len(workload.nodes), 16)
    bits[node.index] = 2
    step = (max(high, 0) - min(low, 0)) / 3
    zero = round(-2 - min(low, 0) / step)
    rounded = ((read / step).round() + zero).clamp(-2, 1).sub(zero) * step
    with torch.no_grad():
        by_hand = (module.after(rounded) + module.beside(torch.relu(module.before(inputs)))).flatten(1)
    error = float(mean_square(by_hand, wanted).mean())
    assert problem.evaluate(bits)[0, 0] == pytest.approx(error, rel=0.02)
    with torch.no_grad():
        assert float(mean_square(quantized_module(problem, bits)(inputs), wanted).mean()) == pytest.approx(
            problem.evaluate(bits)[0, 0], rel=1e-4
        )


@pytest.mark.parametrize("write", WRITES[::2])
def test_the_input_is_left_as_it_was_and_evaluations_do_not_depend_on_those_before(write: Any) -> None:
    torch.manual_seed(1)
    module, inputs = Net(write, False, False).eval(), torch.randn(SIZE)
    before = inputs.clone()
    workload = Workload.from_module(module, inputs[:2])
    rows = np.random.default_rng(0).integers(2, 9, (8, len(workload.nodes)))

    def made() -> QuantizationProblem:
        return QuantizationProblem(workload, inputs, (inputs, module(inputs).detach()), mean_square)

    assert made().evaluate(rows).tolist() == made().evaluate(rows[::-1])[::-1].tolist()
    assert torch.equal(inputs, before)


class Attention(nn.Module):
    def __init__(self, mask: str) -> None:
        super().__init__()
        self.mask, self.qkv, self.out = mask, nn.Linear(12, 36), nn.Linear(12, 5)
        allowed = torch.ones(6, 6, dtype=torch.bool).tril()
        allowed[2] = False
        self.register_buffer("allowed", allowed)
        self.register_buffer("added", torch.zeros(6, 6).masked_fill(~allowed, -torch.inf))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).chunk(3, -1)
        if self.mask == "written out":
            scores = query @ key.mT / 12**0.5
            scores = (scores.unsqueeze(1) + self.added.clamp(min=-1e9)).squeeze(1)
            return self.out((scores.softmax(-1) @ value).mean(1))
        given = {"bool": self.allowed, "float": self.added, "none": None}[self.mask]
        return self.out(nn.functional.scaled_dot_product_attention(query, key, value, given).mean(1))


@pytest.mark.parametrize("mask", ["bool", "float", "none", "written out"])
def test_rows_that_are_masked_as_a_whole_are_as_torch_has_them_and_masks_are_no_weights(mask: str) -> None:
    torch.manual_seed(2)
    module, inputs = Attention(mask).eval(), torch.randn(48, 6, 12)
    with torch.no_grad():
        wanted = module(inputs)
    assert wanted.isfinite().all()
    workload = Workload.from_module(module, inputs[:2])
    assert workload.params == 12 * 36 + 12 * 5
    problem = QuantizationProblem(workload, inputs, (inputs, wanted), mean_square)
    scale = float(wanted.square().mean())
    assert problem.full_precision_error() < 1e-10 * scale
    assert problem.evaluate([8] * len(workload.nodes))[0, 0] < 1e-2 * scale
