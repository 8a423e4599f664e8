"""Networks whose tensors are shared, computed or changed in place."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

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
    network, workload = problem.network(), problem.workload
    assert [node.name for node in workload.nodes if node.kind == "weight"].count("first.weight") == 1
    assert workload.find("second.weight") is workload.find("first.weight")
    bits = [8] * problem.num_nodes
    bits[workload.find("first.weight").index] = 2
    network.set_bits(bits)
    first, second = (network.graph.get_submodule(name).weight for name in ("first", "second"))
    assert first.data_ptr() == second.data_ptr()
    assert len(torch.unique(first)) <= 4


@pytest.mark.parametrize("begins", [nn.ReLU(inplace=True), nn.SiLU(inplace=True)])
def test_a_network_that_begins_in_place_leaves_the_data_alone(begins: nn.Module) -> None:
    """Numbers that were worn down would show: every measurement runs the network anew."""

    def size(outputs: Tensor, _: object) -> Tensor:
        return outputs.double().abs().mean(1)

    torch.manual_seed(0)
    net = nn.Sequential(begins, nn.Linear(6, 8), nn.Linear(8, 4)).eval()
    images = IMAGES.clone()
    problem, fresh = (
        QuantizationProblem(Workload.from_module(net, IMAGES[:1]), images, (images, LABELS), metric=size)
        for _ in range(2)
    )
    rows = np.array([[width] * problem.num_nodes for width in (8, 2, 5)])
    first = problem.full_precision_error()
    for row in rows:
        problem.evaluate(row)
        assert problem.full_precision_error() == first
    assert np.array_equal(problem.evaluate(rows), fresh.evaluate(rows))
    assert torch.equal(images, IMAGES)
