"""What is quantized is the network that was given: folded, traced, and held against it on real inputs."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nemo_lab.quantize.folding as folding
import nemo_lab.workload.consecutive as consecutive
from nemo_lab import QuantizationProblem, Workload
from nemo_lab.errors import DataError, TraceError
from nemo_lab.quantize import QuantizationConfig
from nemo_lab.quantize.network import QuantizedNetwork
from nemo_lab.workload.agreement import disagreement
from nemo_lab.workload.operations import BATCH_NORMS


def randomised(module: nn.Module, inputs: Tensor) -> nn.Module:
    """Batch norms that have seen data, with weights of their own."""
    for part in module.modules():
        if isinstance(part, BATCH_NORMS):
            part.momentum = None
            if part.affine:
                nn.init.uniform_(part.weight, 0.5, 2.0)
                nn.init.normal_(part.bias)
    module.train()
    with torch.no_grad():
        module(inputs)
    return module.eval()


def mean_square(outputs: Tensor, labels: Tensor) -> Tensor:
    return (outputs - labels).flatten(1).square().mean(1)


def problem(module: nn.Module, inputs: Tensor, **settings: Any) -> QuantizationProblem:
    with torch.no_grad():
        outputs = module(inputs)
    workload = Workload.from_module(module, inputs[:2])
    return QuantizationProblem(
        workload, inputs, (inputs, outputs), mean_square, kept_mb=0, calibration_batch=64, **settings
    )


CHAINS = {
    "two norms": [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.BatchNorm2d(8, affine=False)],
    "three norms, no bias": [nn.Conv2d(3, 8, 3, bias=False), *(nn.BatchNorm2d(8) for _ in range(3))],
    "a norm that is called twice": [nn.Conv2d(3, 8, 3), *[nn.BatchNorm2d(8)] * 2],
    "groups": [nn.Conv2d(3, 9, 3, groups=3), nn.BatchNorm2d(9), nn.BatchNorm2d(9)],
    "one norm, then another layer": [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.BatchNorm2d(8)],
}


class Shared(nn.Module):
    """One convolution, or two that share their weight, before two norms: neither can be folded."""

    def __init__(self, twice: bool) -> None:
        super().__init__()
        self.first, self.norms = nn.Conv2d(3, 8, 3), nn.ModuleList(nn.BatchNorm2d(8) for _ in range(2))
        self.second = self.first if twice else nn.Conv2d(3, 8, 3)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.norms[0](self.first(x)) + self.norms[1](self.second(x.flip(-1)))
        return found.flatten(1)


@pytest.mark.parametrize("twice", [False, True])
def test_a_convolution_that_is_used_twice_keeps_its_norms(twice: bool) -> None:
    torch.manual_seed(0)
    inputs = torch.randn(64, 3, 6, 6)
    made = problem(randomised(Shared(twice), inputs), inputs)
    assert made.full_precision_error() < 1e-8
    assert made.network().folded == {}


@pytest.mark.parametrize("chain", CHAINS)
def test_norms_behind_a_convolution_are_all_folded(chain: str) -> None:
    torch.manual_seed(0)
    inputs = torch.randn(64, 3, 6, 6)
    module = randomised(nn.Sequential(*CHAINS[chain], nn.Flatten()), inputs)
    made = problem(module, inputs)
    scale = float(module(inputs).detach().square().mean())
    assert made.full_precision_error() < 1e-8 * scale
    assert made.evaluate([8] * made.num_nodes)[0, 0] < 1e-3 * scale


@pytest.mark.parametrize(
    ("gain", "eps"), [(1.0, 1e-5), (1e-6, 1e-5), (1e-6, 1e-12), (1e-9, 1e-15), (1e4, 1e-5)]
)
def test_small_signals_are_not_taken_for_dead_channels(gain: float, eps: float) -> None:
    torch.manual_seed(1)
    inputs = gain * torch.randn(64, 2, 12)
    module = nn.Sequential(nn.Conv1d(2, 6, 3, bias=False), nn.BatchNorm1d(6, eps=eps), nn.ELU(), nn.Flatten())
    made = problem(randomised(module, inputs), inputs)
    channels = module(inputs).detach().unflatten(1, (6, 10))
    assert (channels.std((0, 2)) > 0).all()
    scale = float(channels.var((0, 2)).min())
    assert made.full_precision_error() < 1e-6 * scale
    assert made.evaluate([8] * made.num_nodes)[0, 0] < scale


def test_a_channel_that_died_does_not_widen_the_range_of_the_others() -> None:
    torch.manual_seed(2)
    inputs = torch.randn(64, 4, 6, 6)
    inputs[:, 2] = 0  # what a ReLU leaves of a channel
    module = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4, bias=False), nn.BatchNorm2d(4), nn.Flatten())
    made = problem(randomised(module, inputs), inputs)
    weights = made.network().weights.full["0.weight"]
    assert (weights[2] == 0).all()
    assert made.full_precision_error() < 1e-8


def test_folding_that_changes_the_network_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    inputs = torch.randn(64, 3, 6, 6)
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8)]
    module = randomised(nn.Sequential(*layers, nn.Flatten()), inputs)
    monkeypatch.setattr(folding, "DEAD", 0.9)  # nearly all are taken for dead
    for equalize in (False, True):
        with pytest.raises(TraceError, match=r"first behind 1.*fold=False"):
            problem(module, inputs, equalize=equalize)
    assert problem(module, inputs, fold=False).full_precision_error() < 1e-8


def test_equalizing_that_changes_the_network_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    inputs = torch.randn(64, 3, 6, 6)
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GELU(), nn.Conv2d(8, 8, 3), nn.Flatten()).eval()
    monkeypatch.setattr(consecutive, "ALIKE", (nn.GELU,))  # which is not half for half
    with pytest.raises(TraceError, match=r"equalizing layers changes Sequential: .*; pass equalize=False"):
        problem(module, inputs, equalize=True)
    assert problem(module, inputs).full_precision_error() < 1e-8


def test_a_module_that_changed_since_it_was_traced_is_noticed() -> None:
    torch.manual_seed(4)
    module = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    inputs = torch.randn(64, 5)
    workload = Workload.from_module(module, inputs[:2])
    with torch.no_grad():
        module[0].weight *= 1.5  # the same tensor, which the graph shares
    QuantizationProblem(workload, inputs, (inputs, torch.zeros(64, dtype=torch.long)))
    module[2] = nn.Linear(8, 3)
    with pytest.raises(TraceError, match="other outputs than the module itself"):
        QuantizationProblem(workload, inputs, (inputs, torch.zeros(64, dtype=torch.long)))


class Fixed(nn.Module):
    """Runs on batches of two only, or was traced so."""

    def __init__(self, built_in: bool) -> None:
        super().__init__()
        self.layer, self.built_in = nn.Linear(5, 3), built_in

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).view(2 if self.built_in else len(x.tolist()), 3)


@pytest.mark.parametrize("built_in", [True, False])
def test_a_network_that_does_not_run_on_the_calibration_set_is_named(built_in: bool) -> None:
    inputs = torch.randn(64, 5)
    workload = Workload.from_module(Fixed(built_in).eval(), inputs[:2])
    with pytest.raises((DataError, TraceError), match="trace it on a batch of that size"):
        QuantizationProblem(workload, inputs, (inputs, torch.zeros(64, dtype=torch.long)))


def test_a_module_in_training_mode_is_held_against_as_it_evaluates_and_left_so() -> None:
    inputs = torch.randn(64, 3, 6, 6)
    module = randomised(
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Dropout(), nn.Flatten()), inputs
    )
    workload = Workload.from_module(module, inputs[:2])
    module.train()
    mean = module[1].running_mean.clone()
    QuantizationProblem(workload, inputs, inputs, "agreement")
    assert module.training
    assert torch.equal(module[1].running_mean, mean)


def test_disagreement_bears_rounding_and_nothing_else() -> None:
    wanted = torch.randn(1000)
    assert disagreement(wanted + 1e-6 * torch.randn(1000), wanted) is None
    assert disagreement(wanted + 1e-3 * torch.randn(1000), wanted) is not None
    one = wanted.clone()
    one[17] += 1
    assert disagreement(one, wanted) is not None
    assert disagreement(1e6 + wanted + 0.1, 1e6 + wanted) is None  # of the largest, it is nothing
    assert disagreement([wanted, wanted], [wanted]) is not None
    assert disagreement({"a": wanted[:10]}, {"a": wanted}) is not None
    assert disagreement("text", wanted) is not None
    gone = wanted.clone()
    gone[3] = torch.nan
    assert disagreement(gone, wanted) is not None
    assert disagreement(gone, gone.clone()) is None
    whole = torch.arange(10_000)
    assert disagreement(whole.clone().index_fill_(0, torch.tensor([4]), 0), whole) is None
    assert disagreement(whole.flip(0), whole) is not None
    assert disagreement(torch.empty(0, 3), torch.empty(0, 3)) is None


def test_both_ways_of_folding_run_the_same_network() -> None:
    inputs = torch.randn(64, 3, 6, 6)
    module = randomised(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten()), inputs)
    workload = Workload.from_module(module, inputs[:2])
    config = QuantizationConfig()
    for one in (config, dataclasses.replace(config, fold=False)):
        network = QuantizedNetwork(workload, one)
        assert disagreement(network(network.prepare(inputs)), module(inputs)) is None
