"""Corrected biases: each channel has the mean that it has in full precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nemo_lab as nl
from nemo_lab.errors import ArgumentError, DataError
from tests.tuning.test_fine_tuning import IMAGES, Odd, mixed, odd, outputs, problem_of


def means(network: Any, problem: nl.QuantizationProblem) -> Tensor:
    return outputs(network, problem).double().mean(0)


@pytest.mark.parametrize("bias", ["float", "int32"])
def test_outputs_have_the_mean_of_full_precision(bias: str) -> None:
    problem = odd(bias=bias)
    bits = mixed(problem)
    network = problem.network()
    full = means(network, problem)
    network.set_bits(bits)
    before = (means(network, problem) - full).abs().max()
    after = (means(nl.correct_bias(problem, bits).network(), problem) - full).abs().max()
    assert after < (1e-5 if bias == "float" else before / 5)
    assert before > 1e-3


def test_it_mends_what_uniform_widths_break(fashion: nl.Workload) -> None:
    problem = nl.QuantizationProblem(fashion, bias="int32")
    assert fashion.data is not None
    unseen = fashion.data.held_out
    tuned = nl.correct_bias(problem, 4)
    assert problem.error([[4] * problem.num_nodes], unseen)[0] > 0.7
    assert tuned.error(unseen) < 0.25  # 0.219 measured


class Bare(nn.Module):
    """A layer without a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class SharedBias(nn.Module):
    """One bias in two layers by function, and one that a layer has for itself."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = (nn.Parameter(torch.randn(6, 6)) for _ in range(2))
        self.bias, self.own = nn.Parameter(torch.randn(6)), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.relu(nn.functional.linear(x, self.a, self.bias))
        return self.own(nn.functional.linear(x, self.b, self.bias))


def test_a_bias_that_others_read_is_left_alone() -> None:
    torch.manual_seed(0)
    problem = problem_of(SharedBias(), torch.randn(20, 6), bias="float")
    assert nl.correct_bias(problem, 3).tensors.keys() == {"own.bias"}


def test_a_network_without_biases_is_refused() -> None:
    problem = problem_of(Bare(), torch.randn(20, 4))
    with pytest.raises(ArgumentError, match=r"no layer of Bare has a bias of its own.*finetune"):
        nl.correct_bias(problem, 4)


def test_arguments_are_checked() -> None:
    problem = problem_of(Odd(), torch.randn(20, 3, 8, 8))
    with pytest.raises(ArgumentError):
        nl.correct_bias(problem, 4, examples=0)
    with pytest.raises(DataError):
        nl.correct_bias(problem, 4, torch.randn(20, 3))
    few = torch.randn(3, 3, 8, 8)
    one, other = (nl.correct_bias(problem, 4, data, examples=2) for data in (few, few[:2]))
    assert all(torch.equal(values, other.tensors[name]) for name, values in one.tensors.items())


def test_what_is_kept_needs_no_calibration(tmp_path: Path) -> None:
    module = Odd()
    problem, other = (problem_of(module, IMAGES * scale) for scale in (1, 10))
    path = nl.correct_bias(problem, 4).save(tmp_path / "tuned.pt")
    again = nl.TunedNetwork.load(path, other)
    same = nl.TunedNetwork.load(path, problem)
    assert torch.equal(outputs(again.network(), problem), outputs(same.network(), problem))


class Shifted(nn.Module):
    """A bias that is one number for all channels."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias, self.head = (
            nn.Parameter(torch.randn(4, 5)),
            nn.Parameter(torch.ones(1)),
            nn.Linear(5, 3),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.addmm(self.bias, x, self.weight))


def test_a_bias_of_one_number_is_left_alone() -> None:
    problem = problem_of(Shifted(), torch.randn(20, 4))
    assert torch.equal(nl.correct_bias(problem, 3).tensors.get("bias", torch.ones(1)), torch.ones(1))
