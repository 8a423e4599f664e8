"""Networks that only torch.export can trace: the same graph, with the modules people know in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from nemo_lab import QuantizationProblem, Workload
from nemo_lab.quantize.network import QuantizedNetwork


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.act = nn.ReLU6()

    def forward(self, x: Tensor) -> Any:
        return x + self.act(self.norm(self.conv(x)))


class Net(nn.Module):
    """A stem, a residual block and a head; subclasses add what torch.fx cannot trace."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.stem_norm = nn.BatchNorm2d(4)
        self.block = Block()
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Any:
        x = self.block(F.relu(self.stem_norm(self.stem(x))))
        return self.head(self.drop(x.mean((2, 3))))


class LooksAtSize(Net):
    def forward(self, x: Tensor) -> Any:
        if x.shape[1] != 3:
            raise ValueError("three channels, please")
        return super().forward(x)


class LooksAtType(Net):
    def forward(self, x: Any) -> Any:
        return super().forward(torch.cat([x, x], 1)[:, :3] if isinstance(x, Tensor) else x[0])


class GoesOver(Net):
    def forward(self, *inputs: Tensor) -> Any:
        return super().forward(sum(inputs))


ONLY_EXPORT = [LooksAtSize, LooksAtType, GoesOver]


def eager(module: type[nn.Module]) -> nn.Module:
    """Evaluated, with statistics that are not those of a fresh batch norm."""
    torch.manual_seed(0)
    net = module()
    for _ in range(20):
        net(torch.randn(16, 3, 8, 8) * 2 + 1)
    return net.eval()


@pytest.fixture(scope="module", params=ONLY_EXPORT, ids=lambda module: module.__name__)
def workload(request: pytest.FixtureRequest) -> Workload:
    return Workload.from_module(eager(request.param), torch.zeros(1, 3, 8, 8))


def test_the_second_way_is_taken_and_said(workload: Workload) -> None:
    assert workload.traced_by == "torch.export"
    assert Workload.from_module(eager(Net), torch.zeros(1, 3, 8, 8)).traced_by == "torch.fx"


def test_layers_and_costs_are_those_of_torch_fx(workload: Workload) -> None:
    layers = [(layer.name, layer.op, layer.macs) for layer in workload.layers]
    assert layers == [
        ("stem", "conv", 4 * 16 * 3 * 9),  # 8x8 pixels by stride 2
        ("block.conv", "conv", 4 * 16 * 4 * 9),
        ("head", "linear", 4 * 5),
    ]
    assert workload.params == 4 * 3 * 9 + 4 * 4 * 9 + 4 * 5


def test_weights_are_called_like_their_parameters_and_shared(workload: Workload) -> None:
    own = dict(workload.module.named_parameters())
    weights = [node.name for node in workload.nodes if node.kind == "weight"]
    assert weights == ["stem.weight", "block.conv.weight", "head.weight"]
    for name in weights:
        assert workload.graph.get_parameter(name).data_ptr() == own[name].data_ptr()
    assert {"block.conv.input", "head.input"} <= set(workload.names)
    assert all(workload.find(name).name == name for name in workload.names)


def test_calls_of_modules_are_calls_of_modules_again(workload: Workload) -> None:
    called = {
        str(node.target): type(workload.graph.get_submodule(str(node.target))).__name__
        for node in workload.graph.graph.nodes
        if node.op == "call_module"
    }
    assert called == {
        "stem": "Conv2d",
        "stem_norm": "BatchNorm2d",
        "block.conv": "Conv2d",
        "block.norm": "BatchNorm2d",
        "block.act": "ReLU6",
        "drop": "Dropout",
        "head": "Linear",
    }


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_any_batch_size_works(workload: Workload, batch: int) -> None:
    x = torch.randn(batch, 3, 8, 8)
    torch.testing.assert_close(workload.graph(x), workload.module(x))


def test_batch_norm_is_folded(workload: Workload) -> None:
    network = QuantizedNetwork(workload)
    called = [n.target for n in network.graph.graph.nodes if n.op == "call_module"]
    assert not {"stem_norm", "block.norm"} & set(called)
    assert network.graph.get_submodule("block.conv").bias is not None  # it had none of its own
    norm = network.graph.get_submodule("block.conv")
    assert not torch.equal(norm.weight, workload.module.get_parameter("block.conv.weight"))


def test_the_quantized_network_gives_the_numbers_of_the_module(workload: Workload) -> None:
    network = QuantizedNetwork(workload)
    x = torch.randn(3, 3, 8, 8)
    wanted = workload.module(x).detach()
    network.set_bits(None)
    (found,) = pytree.tree_leaves(network(x))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    network.calibrate([x])
    network.set_bits([16] * len(workload.nodes))
    (found,) = pytree.tree_leaves(network(network.prepare(x)))
    assert float((found - wanted).abs().max()) < 0.01 * float(wanted.abs().max())


def test_the_quantized_network_returns_what_the_module_returns(workload: Workload) -> None:
    network = QuantizedNetwork(workload)
    network.set_bits(None)
    assert isinstance(network(torch.randn(3, 3, 8, 8)), Tensor)


def test_a_problem_can_be_made(workload: Workload) -> None:
    images = torch.randn(32, 3, 8, 8)
    with torch.no_grad():
        labels = workload.module(images).argmax(1)
    problem = QuantizationProblem(workload, calibration=images, data=(images, labels))
    assert problem.full_precision_error() == 0
    assert problem.evaluate(np.full((1, len(workload.nodes)), 8))[0, 0] < 0.2


class GivesDictionary(LooksAtSize):
    def forward(self, x: Tensor) -> Any:
        return {"scores": super().forward(x)}


def test_a_dictionary_comes_out_of_the_quantized_network_too() -> None:
    net = eager(GivesDictionary)
    network = QuantizedNetwork(Workload.from_module(net, torch.zeros(1, 3, 8, 8)))
    network.set_bits(None)
    x = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(network(x)["scores"], net(x)["scores"], rtol=1e-4, atol=1e-4)


class FixedBatch(LooksAtSize):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x.reshape(2, 3, 8, 8))


def test_a_batch_size_that_is_built_in_is_kept() -> None:
    net = FixedBatch().eval()
    workload = Workload.from_module(net, torch.zeros(2, 3, 8, 8))
    assert workload.traced_by == "torch.export"
    assert workload.layers[0].macs == 4 * 16 * 3 * 9
    x = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(workload.graph(x), net(x))


class CalledTwice(LooksAtSize):
    def forward(self, x: Tensor) -> Any:
        if x.shape[1] != 3:
            raise ValueError("three channels, please")
        x = self.block(self.block(F.relu(self.stem_norm(self.stem(x)))))
        return self.head(x.mean((2, 3)))


def test_a_module_called_twice_is_one_weight_and_two_layers() -> None:
    workload = Workload.from_module(eager(CalledTwice), torch.zeros(1, 3, 8, 8))
    assert workload.traced_by == "torch.export"
    once = 4 * 16 * 4 * 9
    assert workload.find("block.conv.weight").macs == 2 * once
    assert [layer.name for layer in workload.layers] == ["stem", "block.conv", "block.conv", "head"]
    x = torch.randn(3, 3, 8, 8)
    torch.testing.assert_close(workload.graph(x), workload.module(x))


class MixedParts(nn.Module):
    """Grouped, depthwise, transposed, 1-d and 3-d convolutions, layer norm and attention of torch."""

    def __init__(self) -> None:
        super().__init__()
        self.grouped = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.up = nn.ConvTranspose2d(4, 6, 2, stride=2)
        self.line = nn.Conv1d(6, 8, 3, padding=1)
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Any:
        x = self.line(self.up(self.depthwise(self.grouped(x))).flatten(2))  # [N, 8, 64]
        x = self.norm(x.transpose(1, 2))
        return self.attention(x, x, x, need_weights=False)[0]


def test_layers_of_every_kind_by_hand() -> None:
    torch.manual_seed(0)
    net = MixedParts().eval()
    workload = Workload.from_module(net, torch.zeros(2, 4, 4, 4))
    assert workload.traced_by == "torch.export"
    assert [(layer.name, layer.op, layer.macs) for layer in workload.layers] == [
        ("grouped", "conv", 4 * 16 * 2 * 9),
        ("depthwise", "depthwise conv", 4 * 16 * 9),
        ("up", "transposed conv", 16 * 4 * 6 * 4),  # every input pixel meets the whole kernel
        ("line", "conv", 8 * 64 * 6 * 3),
        ("attention.in_proj", "linear", 64 * 8 * 24),
        ("attention.scores", "matmul", 64 * 64 * 8),
        ("attention.context", "matmul", 64 * 64 * 8),
        ("attention.out_proj", "linear", 64 * 8 * 8),
    ]
    weights = [node.name for node in workload.nodes if node.kind == "weight"]
    assert weights == [
        "grouped.weight",
        "depthwise.weight",
        "up.weight",
        "line.weight",
        "attention.in_proj_weight",
        "attention.out_proj.weight",
    ]
    depthwise = workload.find("depthwise.weight")
    assert (depthwise.depthwise, depthwise.in_channels, depthwise.out_channels) == (True, 4, 4)
    up = workload.find("up.weight")
    assert (up.stride, up.kernel_size, up.in_channels, up.out_channels) == (2, 4, 4, 6)
    x = torch.randn(3, 4, 4, 4)
    torch.testing.assert_close(workload.graph(x), net(x), rtol=1e-4, atol=1e-5)


class Sized(nn.Module):
    """Modules without parameters in parents without any, and one that is called with a size."""

    def __init__(self) -> None:
        super().__init__()
        self.pools = nn.ModuleDict({"none": nn.Sequential(nn.AdaptiveAvgPool2d((None, 3)), nn.Hardswish())})
        self.up = nn.ConvTranspose2d(3, 4, 3, stride=2)
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Any:
        if x.shape[1] != 3:
            raise ValueError("three channels, please")
        x = self.up(self.pools["none"](x), output_size=[18, 8])
        return self.head(x.flatten(2).transpose(1, 2))


def test_a_module_is_put_back_only_if_one_tensor_is_all_it_is_called_with() -> None:
    torch.manual_seed(0)
    workload = Workload.from_module(Sized().eval(), torch.zeros(1, 3, 8, 8))
    assert workload.traced_by == "torch.export"
    called = [str(n.target) for n in workload.graph.graph.nodes if n.op == "call_module"]
    assert called == ["pools.none.0", "pools.none.1", "head"]
    assert [(layer.name, layer.op, layer.macs) for layer in workload.layers] == [
        ("up", "transposed conv", 8 * 3 * 3 * 4 * 9),
        ("head", "linear", 18 * 8 * 4 * 5),
    ]
    x = torch.randn(3, 3, 8, 8)
    torch.testing.assert_close(workload.graph(x), workload.module(x))
    assert not any(part._forward_pre_hooks for part in workload.module.modules())
