"""An evaluation depends on the configuration alone: also in a network that draws numbers, or remembers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nemo_lab import QuantizationProblem, Workload, create_study


class Stack(nn.Module):
    """Two layers, and something between them."""

    def __init__(self, guarded: bool = False) -> None:
        super().__init__()
        self.guarded, self.a, self.b = guarded, nn.Linear(10, 32), nn.Linear(32, 4)
        self.register_buffer("count", torch.zeros(1))
        self.register_buffer("mean", torch.zeros(32))

    def forward(self, x: Tensor) -> Tensor:
        if self.guarded and x.shape[1] != 10:  # which stops torch.fx
            raise ValueError("ten features")
        return self.b(self.between(F.relu(self.a(x))))

    def between(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class Dropout(Stack):
    def between(self, x: Tensor) -> Tensor:
        return F.dropout(x, 0.5, training=True)


class Noise(Stack):
    def between(self, x: Tensor) -> Tensor:
        return x + torch.randn_like(x)


class Counting(Stack):
    def between(self, x: Tensor) -> Tensor:
        self.count += 1
        return x * self.count


class Running(Stack):
    """A mean of what it has seen, as a batch norm has in training."""

    def between(self, x: Tensor) -> Tensor:
        self.mean.mul_(0.9).add_(0.1 * x.mean(0))
        return x - self.mean


class NormInTraining(Stack):
    def __init__(self, guarded: bool = False) -> None:
        super().__init__(guarded)
        self.norm = nn.BatchNorm1d(32)

    def train(self, mode: bool = True) -> Stack:
        super().train(mode)
        self.norm.train()  # as some people do
        return self

    def between(self, x: Tensor) -> Tensor:
        return self.norm(x)


def made(module: nn.Module, inputs: Tensor, workload: Workload | None = None) -> QuantizationProblem:
    workload = workload or Workload.from_module(module, inputs[:4])
    labels = torch.randint(4, (len(inputs),), generator=torch.Generator().manual_seed(3))

    def mean_square(outputs: Tensor, labels: Tensor) -> Tensor:
        return (outputs - F.one_hot(labels, 4)).square().mean(1)

    return QuantizationProblem(workload, inputs[:64], (inputs, labels), mean_square, batch_size=48)


@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize("kind", [Dropout, Noise, Counting, Running, NormInTraining])
def test_the_same_bits_have_the_same_error_whatever_came_before(kind: type[Stack], guarded: bool) -> None:
    torch.manual_seed(0)
    module, inputs = kind(guarded).eval(), torch.randn(128, 10)
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
    before = torch.get_rng_state()
    problem = made(module, inputs)
    other = made(module, inputs, problem.workload)
    rows = np.random.default_rng(0).integers(2, 9, (10, problem.num_nodes))
    found = problem.evaluate(rows)
    assert found.tolist() == other.evaluate(rows[::-1])[::-1].tolist()
    assert len(np.unique(found[:, 0])) > 5
    network = problem.network()
    network.set_bits(rows[0])
    assert torch.equal(network(inputs), network(inputs))
    for name, buffer in module.named_buffers():
        assert torch.equal(buffer, buffers[name]), name
    assert torch.equal(torch.get_rng_state(), before)


def test_two_runs_of_one_seed_are_the_same() -> None:
    torch.manual_seed(0)
    module, inputs = Dropout().eval(), torch.randn(128, 10)
    tables = []
    for _ in range(2):
        study = create_study(
            made(module, inputs), species=("continuous", "floor"), population=8, min_size=1, seed=3
        )
        tables.append(study.optimize(30, progress=False).snapshot.evaluations.objectives.tolist())
        torch.rand(7)  # by somebody else
    assert tables[0] == tables[1]


def test_batches_draw_numbers_of_their_own() -> None:
    torch.manual_seed(0)
    module, inputs = Noise().eval(), torch.randn(8, 10)
    network = made(module, torch.cat([inputs] * 16)).network()
    assert not torch.equal(network(inputs, 0), network(inputs, 1))
    assert torch.equal(network(inputs, 1), network(inputs, 1))
