"""The quantized network: folding, calibration, a slow reference, and networks of every shape."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nemo_lab import QuantizationProblem, Workload
from nemo_lab.quantize.network import QuantizedNetwork


class Tiny(nn.Module):
    """conv -> ReLU -> linear, no batch norm: three activations short of nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, padding=1)
        self.relu = nn.ReLU()
        self.linear = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(self.relu(self.conv(x)).mean((2, 3)))
        return out


class Offset(nn.Module):
    """Adds a parameter to its input before the convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.linspace(-1, 1, 3).reshape(1, 3, 1, 1) + 0.17)
        self.conv = nn.Conv2d(3, 6, 3)
        self.linear = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(self.conv(x + self.offset).mean((2, 3)))
        return out


class Halves(nn.Module):
    """Reads half of a tensor's channels, then all of them: the half is a view of the whole."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.part = nn.Conv2d(4, 8, 1)
        self.whole = nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        left = self.part(x[:, :4])
        out: Tensor = (left + self.whole(x)).mean((2, 3))
        return out


def problem_of(module: nn.Module, channels: int = 3) -> QuantizationProblem:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(96, channels, 6, 6, generator=generator)
    labels = torch.randint(0, 4, (96,), generator=generator)
    workload = Workload.from_module(module, images[:1])
    return QuantizationProblem(workload, calibration=images[:64], data=(images, labels))


@pytest.mark.parametrize("name", ["digits", "fashion"])
def test_folding_keeps_full_precision_outputs(request: pytest.FixtureRequest, name: str) -> None:
    workload: Workload = request.getfixturevalue(name)
    assert workload.data is not None
    inputs = torch.from_numpy(workload.data.search.inputs)
    network = QuantizedNetwork(workload)
    network.set_bits(None)
    called = [
        network.graph.get_submodule(str(n.target)) for n in network.graph.graph.nodes if n.op == "call_module"
    ]
    assert not any(isinstance(module, nn.BatchNorm2d) for module in called)
    with torch.inference_mode():
        torch.testing.assert_close(network(inputs), workload.module(inputs), rtol=1e-3, atol=1e-3)


def test_calibration_is_the_mean_of_batch_extremes() -> None:
    torch.manual_seed(0)
    module = Tiny().eval()
    batches = [torch.randn(5, 1, 6, 6) * scale for scale in (1.0, 3.0, 0.5)]
    network = QuantizedNetwork(Workload.from_module(module, batches[0]))
    network.calibrate(batches)
    seen: dict[str, list[tuple[float, float]]] = {"input": [], "relu": []}

    def record(name: str) -> Any:
        def hook(_: nn.Module, inputs: Any, output: Tensor) -> None:
            tensor = inputs[0] if name == "input" else output
            seen[name].append((float(tensor.min()), float(tensor.max())))

        return hook

    module.conv.register_forward_hook(record("input"))
    module.relu.register_forward_hook(record("relu"))
    with torch.no_grad():
        for batch in batches:
            module(batch)
    nodes = [node for node in network.workload.nodes if node.kind == "activation"]
    assert [node.name for node in nodes] == ["conv.input", "linear.input"]
    for node, name in zip(nodes, ("input", "relu"), strict=True):
        low, high = np.mean(seen[name], axis=0)
        assert network.ranges[node.name].overall == pytest.approx((low, high), rel=1e-6)


def affine_reference(x: Tensor, low: float, high: float, bits: int) -> Tensor:
    """docs/method.md, section 2, letter by letter."""
    low, high = min(low, 0.0), max(high, 0.0)
    s = (high - low) / (2**bits - 1)
    z = round(-(2 ** (bits - 1)) - low / s)
    q = torch.clamp(torch.round(x / s) + z, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return (q - z) * s


def test_outputs_equal_a_slow_reference() -> None:
    """A network small enough to write its quantized forward pass out by hand."""
    torch.manual_seed(1)
    module = Tiny().eval()
    images = torch.randn(64, 1, 6, 6)
    network = QuantizedNetwork(Workload.from_module(module, images))
    network.calibrate(images.split(16))
    in_node, conv_node, hidden_node, linear_node = (
        network.workload.find(name).index
        for name in ("conv.input", "conv.weight", "linear.input", "linear.weight")
    )
    rng = np.random.default_rng(0)
    for bits in rng.integers(2, 9, (20, 4)).tolist():
        network.set_bits(bits)
        with torch.no_grad():
            conv, linear = module.conv, module.linear
            wc, wl = (
                affine_reference(
                    layer.weight, float(layer.weight.min()), float(layer.weight.max()), bits[node]
                )
                for layer, node in ((conv, conv_node), (linear, linear_node))
            )
            x = affine_reference(images, *network.ranges["conv.input"].overall, bits[in_node])
            x = torch.relu(nn.functional.conv2d(x, wc, conv.bias, padding=1))
            x = affine_reference(x, *network.ranges["linear.input"].overall, bits[hidden_node])
            expected = nn.functional.linear(x.mean((2, 3)), wl, linear.bias)
        assert torch.equal(network(images).argmax(1), expected.argmax(1))
        torch.testing.assert_close(network(images), expected, rtol=1e-3, atol=1e-2)


def test_an_added_parameter_is_not_worn_down_by_evaluations() -> None:
    torch.manual_seed(0)
    problem = problem_of(Offset())
    wide, narrow = ([width] * problem.num_nodes for width in (8, 2))
    inputs = np.random.default_rng(0).normal(size=(8, 3, 6, 6)).astype(np.float32)

    def size(outputs: Tensor, _: object) -> Tensor:
        return outputs.double().abs().mean(1)

    before = problem.error(wide, inputs, metric=size)
    problem.evaluate(narrow)
    assert np.array_equal(problem.error(wide, inputs, metric=size), before)


def test_quantizing_a_view_leaves_the_whole_alone() -> None:
    torch.manual_seed(0)
    problem = problem_of(Halves())
    network, workload = problem.network(), problem.workload
    half = workload.find("part.input").index
    inputs = torch.randn(8, 3, 6, 6)
    whole = network.graph.get_submodule("whole")
    seen: list[Tensor] = []
    whole.register_forward_pre_hook(lambda _, args: seen.append(args[0].clone()))
    for width in (8, 2):  # the width of the half is no concern of the whole
        bits = [8] * problem.num_nodes
        bits[half] = width
        network.set_bits(bits)
        network(inputs)
    assert torch.equal(seen[0], seen[1])
