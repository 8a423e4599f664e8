"""Networks whose tensors are shared, computed or changed in place."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nemo_lab.errors import TraceError
from nemo_lab.quantize import QuantizationProblem
from nemo_lab.workload import Workload

IMAGES = torch.randn(24, 6, generator=torch.Generator().manual_seed(0))
LABELS = np.arange(24) % 4


def problem_of(module: nn.Module) -> QuantizationProblem:
    workload = Workload.from_module(module.eval(), IMAGES[:1])
    return QuantizationProblem(workload, calibration=IMAGES, data=(IMAGES, LABELS))


class Shared(nn.Module):
    """Two layers, one parameter."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.last = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 4)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.second(self.first(x)))
        return out


def test_layers_that_share_a_parameter_share_its_width() -> None:
    problem = problem_of(Shared())
    network, workload = problem._network, problem.workload
    assert [node.name for node in workload.nodes if node.kind == "weight"].count("first.weight") == 1
    assert workload.find("second.weight") is workload.find("first.weight")
    bits = [8] * problem.num_nodes
    bits[workload.find("first.weight").index] = 2
    network.set_bits(bits)
    first, second = (network.graph.get_submodule(name).weight for name in ("first", "second"))
    assert first.data_ptr() == second.data_ptr()
    assert len(torch.unique(first)) <= 4


def test_a_weight_that_is_computed_is_refused_by_name() -> None:
    net = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(6, 4)))
    with pytest.raises(TraceError, match=r"weight of layer '0' is no plain parameter; .*weight norm"):
        Workload.from_module(net, IMAGES[:1])


def test_a_network_that_begins_in_place_leaves_the_data_alone() -> None:
    torch.manual_seed(0)
    problem = problem_of(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(6, 8), nn.Linear(8, 4)))
    before = [inputs.clone() for inputs, _, _ in problem._task.batches]
    wide, narrow = np.full(problem.num_nodes, 8), np.full(problem.num_nodes, 2)
    first = problem.evaluate(wide)
    problem.evaluate(narrow)
    problem.full_precision_error()
    assert np.array_equal(problem.evaluate(wide), first)
    for old, (inputs, _, _) in zip(before, problem._task.batches, strict=True):
        assert torch.equal(old, inputs)
