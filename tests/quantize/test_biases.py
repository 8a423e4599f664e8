"""Biases as int32, in units of the input's scale times the weight's (``bias="int32"``)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nemo_lab import QuantizationProblem, Workload
from nemo_lab.quantize.config import QuantizationConfig
from nemo_lab.quantize.network import QuantizedNetwork
from nemo_lab.workload.records import Node

IMAGES = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def network_of(module: nn.Module, example: Tensor = IMAGES, **settings: Any) -> QuantizedNetwork:
    workload = Workload.from_module(module, example[:2])
    network = QuantizedNetwork(workload, QuantizationConfig(bias="int32", **settings))
    network.calibrate([example])
    return network


def nodes_of(network: QuantizedNetwork) -> dict[str, Node]:
    return {q.name: node for node in network.workload.nodes for q in node.quantizers}


def test_one_convolution_by_hand() -> None:
    conv = nn.Conv2d(1, 1, 1)
    with torch.no_grad():
        conv.weight.fill_(1.5)
        assert conv.bias is not None
        conv.bias.fill_(0.24)
    x = torch.tensor([0.0, 1.0, 2.0, 3.0]).reshape(1, 1, 1, 4)
    network = network_of(nn.Sequential(conv), x)
    network.set_bits([2, 2])  # scales 1 and 0.5: of the bias 0.5, and 0.24 is nearest to 0
    assert network(x).flatten().tolist() == [0, 1.5, 3, 4.5]
    with torch.no_grad():
        conv.bias.fill_(0.26)
    network = network_of(nn.Sequential(conv), x)
    network.set_bits([2, 2])
    assert network(x).flatten().tolist() == [0.5, 2, 3.5, 5]
    network.set_bits(None)
    assert network(x).flatten().tolist() == pytest.approx([0.26, 1.76, 3.26, 4.76])


class Net(nn.Module):
    """Layers of many kinds, one of them called twice, with inputs of two ranges."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.twice = nn.Conv2d(8, 8, 1)
        self.grouped = nn.Conv2d(8, 8, 3, groups=4)
        self.up = nn.ConvTranspose2d(8, 4, 2, groups=2)
        self.weight, self.offset = nn.Parameter(torch.randn(5, 196)), nn.Parameter(torch.randn(5))
        self.plain = nn.Linear(5, 4, bias=False)
        self.pooled = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.twice(10 * F.relu(self.twice(F.relu(self.norm(self.stem(x))))))
        x = F.relu(self.grouped(x))
        x = self.up(x).flatten(1)
        x = F.relu(F.linear(x, self.weight, self.offset))
        x = self.plain(x).reshape(-1, 4, 1, 1)
        return self.pooled(F.avg_pool2d(x.expand(-1, 4, 2, 2), 2).flatten(1))


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("ranges", ["minmax", "mse"])
def test_every_bias_is_a_whole_number_of_its_own_steps(per_channel: bool, ranges: str) -> None:
    torch.manual_seed(0)
    network = network_of(Net(), per_channel=per_channel, ranges=ranges)
    found = network.biases.found
    readers = sorted(one.weight.removesuffix(".weight") for one in found)
    assert readers == ["grouped", "stem", "twice", "twice", "up", "weight"]
    rows = np.random.default_rng(0).integers(2, 9, (20, len(network.workload.nodes)))
    index = {name: node.index for name, node in nodes_of(network).items()}
    for row in rows:
        network.set_bits(row)
        for bias in found:
            x = network.ranges[bias.input].quantizer(int(row[index[bias.input]]))
            weight = network.weights.quantizers(bias.weight, int(row[index[bias.weight]]))
            steps = x.scale * np.array([one.scale for one in weight])
            codes = bias.stored.double().numpy() / steps
            assert np.abs(codes - codes.round()).max() < 1e-3
            assert np.abs(bias.stored.numpy() - bias.full.numpy()).max() <= steps.max() * 0.5001


def test_scales_are_those_the_weights_were_rounded_by() -> None:
    torch.manual_seed(0)
    network = network_of(Net(), per_channel=True)
    for bias in network.biases.found:
        weight = network.weights.at(bias.weight, 3)
        axis = 1 if bias.weight == "up.weight" else 0
        scales = [one.scale for one in network.weights.quantizers(bias.weight, 3)]
        assert len(scales) == len(bias.full)
        if axis == 0:
            codes = weight.flatten(1) / torch.tensor(scales)[:, None]
        else:  # [in, out / groups, ...]: the outputs of a group stand beside its inputs
            groups = weight.reshape(2, 4, 2, -1).transpose(1, 2).reshape(4, -1)
            codes = groups / torch.tensor(scales)[:, None]
        assert torch.allclose(codes, codes.round(), atol=1e-4)


def test_a_layer_that_is_called_twice_has_two_biases_and_one_weight() -> None:
    torch.manual_seed(0)
    network = network_of(Net())
    first, second = (one for one in network.biases.found if one.weight == "twice.weight")
    assert first.path != second.path
    assert first.input != second.input
    network.set_bits([3] * len(network.workload.nodes))
    assert not torch.equal(first.stored, second.stored)
    shared = [
        m.weight for m in network.graph.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)
    ]
    assert len({id(one) for one in shared}) == 1


def test_where_one_of_both_is_in_full_precision_the_bias_is() -> None:
    torch.manual_seed(0)
    network = network_of(Net())
    nodes = nodes_of(network)
    for bias in network.biases.found:
        for name in (bias.input, bias.weight):
            row = [2] * len(network.workload.nodes)
            row[nodes[name].index] = 32
            network.set_bits(row)
            assert torch.equal(bias.stored, bias.full)
            network.set_node(nodes[name], 2)
            assert not torch.equal(bias.stored, bias.full)
            network.set_node(nodes[name], None)
            assert torch.equal(bias.stored, bias.full)


def test_a_bias_far_above_its_steps_stays_in_int32() -> None:
    layer = nn.Linear(2, 2)
    with torch.no_grad():
        layer.weight.fill_(1e-6)
        layer.bias.copy_(torch.tensor([1e30, -1e30]))
    x = torch.rand(8, 2, generator=torch.Generator().manual_seed(0))
    network = network_of(nn.Sequential(layer), x)
    network.set_bits([8, 8])
    (bias,) = network.biases.found
    step = network.weights.quantizers(bias.weight, 8)[0].scale * network.ranges[bias.input].quantizer(8).scale
    assert (bias.stored.double() / step).tolist() == pytest.approx([2**31 - 128, -(2**31)], rel=1e-6)


@pytest.mark.parametrize("name", ["digits", "text"])
def test_no_result_depends_on_what_was_evaluated_before(name: str, request: pytest.FixtureRequest) -> None:
    workload = request.getfixturevalue(name)
    rows = np.random.default_rng(0).integers(2, 9, (6, len(workload.nodes)))
    rows = np.concatenate([rows, rows])
    rows[6:, len(workload.nodes) // 2 :] = 8  # they begin alike
    together = QuantizationProblem(workload, bias="int32")
    found = together.evaluate(rows)
    for row, expected in zip(rows[::3], found[::3], strict=True):
        assert np.array_equal(QuantizationProblem(workload, bias="int32").evaluate(row)[0], expected)
    plain = QuantizationProblem(workload)
    assert not np.array_equal(plain.evaluate(rows), found)
    assert np.array_equal(plain.error_with(rows[:2], bias="int32"), found[:2, 0])
    assert plain.full_precision_error() == together.full_precision_error()


def test_exported_networks_have_them_too() -> None:
    torch.manual_seed(0)
    x = torch.randn(32, 6)
    net = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 3)).eval()
    program = torch.export.export(net, (x[:8],), dynamic_shapes=({0: torch.export.Dim("batch")},))
    for decompositions in (None, program.run_decompositions().module()):  # a linear layer is an addmm there
        network = network_of(program.module() if decompositions is None else decompositions, x)
        assert len(network.biases.found) == 2
        network.set_bits([3] * 4)
        for bias in network.biases.found:
            assert not torch.equal(bias.stored, bias.full)


class Shared(nn.Module):
    """One bias, read once by torch.fx and added by two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.randn(6, 6)), nn.Parameter(10 * torch.randn(6, 6))
        self.bias = nn.Parameter(torch.randn(6))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.relu(F.linear(x, self.a, self.bias)), self.b, self.bias)


def test_a_bias_of_two_functions_is_in_the_units_of_each() -> None:
    torch.manual_seed(0)
    network = network_of(Shared(), torch.randn(16, 6))
    assert len({bias.path for bias in network.biases.found}) == 2
    network.set_bits([4] * 4)
    for bias in network.biases.found:
        steps = network.biases.steps[bias]
        assert steps is not None
        assert torch.equal(bias.stored, bias.rounded(steps))
