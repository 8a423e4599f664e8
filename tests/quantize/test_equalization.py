"""Cross-layer equalization (``equalize=True``): channels have ranges alike, and the network stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nemo_lab as nl
from nemo_lab.export import load_packed, quantized_module, save_onnx, save_packed, save_torch
from nemo_lab.quantize.config import QuantizationConfig
from nemo_lab.quantize.network import QuantizedNetwork

IMAGES = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(0))
ROWS = torch.randn(64, 6, generator=torch.Generator().manual_seed(0))


def uneven(module: nn.Module) -> nn.Module:
    """The module with channels of very different weights, and biases that matter."""
    torch.manual_seed(0)
    with torch.no_grad():
        for one in module.modules():
            if isinstance(one, nn.Conv1d | nn.Conv2d | nn.Linear):
                shape = (-1, *[1] * (one.weight.ndim - 1))
                one.weight.mul_((3 * torch.randn(len(one.weight))).exp().reshape(shape))
                if one.bias is not None:
                    one.bias.copy_(torch.randn(len(one.bias)) * one.weight.flatten(1).norm(dim=1))
    return module.eval()


def network_of(module: nn.Module, x: Tensor, **settings: Any) -> QuantizedNetwork:
    network = QuantizedNetwork(nl.Workload.from_module(module, x[:2]), QuantizationConfig(**settings))
    network.calibrate([x])
    return network


def unchanged(network: QuantizedNetwork, module: nn.Module, x: Tensor) -> bool:
    """Whether full precision gives what the module gives, but for floating point."""
    network.set_bits(None)
    with torch.no_grad():
        wanted = module(x)
    found = network(network.prepare(x))
    return float((found - wanted).abs().max()) < 2e-6 * float(wanted.abs().max())


def magnitudes(network: QuantizedNetwork) -> dict[str, Tensor]:
    return {name: tensor.detach().abs() for name, tensor in network.weights.full.items()}


class Mobile(nn.Module):
    """An inverted residual block with all that may stand between two layers, and a head behind a mean."""

    def __init__(self, between: type[nn.Module] = nn.ReLU6) -> None:
        super().__init__()
        self.expand = nn.Sequential(nn.Conv2d(3, 12, 1, bias=False), nn.BatchNorm2d(12), between())
        self.depthwise = nn.Sequential(nn.Conv2d(12, 12, 3, padding=1, groups=12), between())
        self.grouped = nn.Sequential(nn.Conv2d(12, 8, 3, groups=4), nn.LeakyReLU(), nn.MaxPool2d(2))
        self.project = nn.Conv2d(8, 3, 1)
        self.head = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.grouped(self.depthwise(self.expand(x))))
        return self.head((y + F.adaptive_avg_pool2d(x, 3)).mean((2, 3)))


def test_two_linear_layers_by_hand() -> None:
    module = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1))
    first, second = module[0], module[2]
    with torch.no_grad():
        for tensor, values in (
            (first.weight, [[8.0], [-0.5]]),
            (first.bias, [4.0, 0.25]),
            (second.weight, [[2.0, 8.0]]),
            (second.bias, [1.0]),
        ):
            tensor.copy_(torch.tensor(values))
    network = network_of(module, torch.tensor([[1.0], [-2.0]]), equalize=True)
    found = {name: tensor.flatten().tolist() for name, tensor in network.weights.full.items()}
    # sqrt(8 * 2) and sqrt(0.5 * 8): s = 2 and 1 / 4
    assert found == {"0.weight": pytest.approx([4, -2]), "2.weight": pytest.approx([4, 2])}
    assert network.graph.get_parameter("0.bias").tolist() == pytest.approx([2, 1])
    network.set_bits(None)
    assert network(torch.tensor([[1.0], [-2.0]])).flatten().tolist() == pytest.approx([25, 11])


@pytest.mark.parametrize(
    "between", [nn.ReLU, nn.ReLU6, lambda: nn.Hardtanh(-2, 3)], ids=["relu", "relu6", "hardtanh"]
)
def test_the_network_stays_and_its_ranges_become_alike(between: Callable[[], nn.Module]) -> None:
    module = uneven(Mobile(between))  # type: ignore[arg-type]
    network = network_of(module, IMAGES, equalize=True)
    assert unchanged(network, module, IMAGES)
    now = magnitudes(network)
    given, kernel = now["expand.0.weight"].amax((1, 2, 3)), now["depthwise.0.weight"].amax((1, 2, 3))
    before = magnitudes(network_of(module, IMAGES))["expand.0.weight"].amax((1, 2, 3))
    assert before.max() / before.min() > 50
    apart = (given / kernel).log().abs()
    assert (apart < 0.1).sum() >= 8  # but for those whose bias would outgrow the others
    assert given.max() / given.min() < 0.5 * before.max() / before.min()


def test_no_bias_outgrows_those_of_its_layer() -> None:
    module = uneven(nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 4)))
    biases = {
        equalize: network_of(module, ROWS, equalize=equalize).graph.get_parameter("0.bias").abs()
        for equalize in (False, True)
    }
    assert biases[True].max() <= biases[False].max() * 1.0001
    assert (biases[True] > 2 * biases[False]).any()


class Flat(nn.Module):
    """Pixels of a channel that lie side by side, as people write it."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way, self.conv, self.fc = way, nn.Conv2d(3, 5, 3), nn.Linear(45, 4)
        self.flatten = nn.Flatten()

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(F.max_pool2d(self.conv(x), 2))
        if self.way == "module":
            x = self.flatten(x)
        elif self.way == "view":
            x = x.view(x.shape[0], -1)
        elif self.way == "reshape":
            x = x.reshape(x.size(0), 45)
        else:
            x = torch.flatten(x, 1)
        return self.fc(x.clamp(max=3.0))


@pytest.mark.parametrize("way", ["module", "view", "reshape", "flatten"])
def test_pixels_side_by_side_have_the_scale_of_their_channel(way: str) -> None:
    module = uneven(Flat(way))
    network = network_of(module, IMAGES, equalize=True)
    assert unchanged(network, module, IMAGES)
    now = magnitudes(network)
    given = now["conv.weight"].amax((1, 2, 3))
    read = now["fc.weight"].reshape(4, 5, 9).amax((0, 2))
    assert (given / read).log().abs().min() < 0.05
    assert not torch.equal(now["fc.weight"], module.fc.weight.detach().abs())  # type: ignore[union-attr]


class Pairs(nn.Module):
    """Two layers, and between them something that is not half for half, or seen by others."""

    def __init__(self, between: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.a, self.between, self.b = nn.Linear(6, 8), between, nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.between(self.a(x)))


class Called(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(F.relu(self.a(F.relu(self.a(x)))))


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 6)
        self.b.weight = self.a.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.b(F.relu(self.a(x)))


@pytest.mark.parametrize(
    "module",
    [
        Pairs(F.gelu),
        Pairs(F.silu),
        Pairs(lambda x: x + 1),
        Pairs(lambda x: F.relu(x) + x),
        Pairs(lambda x: x.flip(-1)),
        Pairs(lambda x: x.reshape(-1, 2, 4).transpose(1, 2).reshape(-1, 8)),
        Pairs(lambda x: F.avg_pool1d(x[:, None], 3, 1, 1)[:, 0]),
        Called(),
        Tied(),
    ],
    ids=["gelu", "silu", "shifted", "read twice", "turned", "mixed", "pooled", "called twice", "tied"],
)
def test_what_does_not_go_channel_by_channel_is_left_alone(module: nn.Module) -> None:
    network = network_of(uneven(module), ROWS, equalize=True)
    plain = network_of(module, ROWS)
    for name, tensor in plain.weights.full.items():
        assert torch.equal(tensor, network.weights.full[name])


class Written(nn.Module):
    """Layers by function, which a check keeps from torch.fx."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(8, 3, 3, 3))
        self.bias = nn.Parameter(torch.randn(8))
        self.b = nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] != 3:
            raise ValueError("three channels")
        return self.b(F.hardtanh(F.conv2d(x, self.a, self.bias), 0.0, 2.0)).mean((2, 3))


def test_layers_by_function_are_layers() -> None:
    module = uneven(Written())
    with torch.no_grad():
        module.a.mul_(torch.tensor([1, 20, 1, 1, 1, 9, 1, 0.1]).reshape(8, 1, 1, 1))  # type: ignore[operator]
    network = network_of(module, IMAGES, equalize=True)
    assert unchanged(network, module, IMAGES)
    assert not torch.equal(network.weights.full["a"], module.a.detach())  # type: ignore[operator]


def test_a_dead_channel_and_a_layer_of_zeros_do_no_harm() -> None:
    module = uneven(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4)))
    with torch.no_grad():
        module[0].weight[3], module[2].weight[:, 5] = 0.0, 0.0  # type: ignore[index]
    network = network_of(module, ROWS, equalize=True)
    assert unchanged(network, module, ROWS)
    with torch.no_grad():
        module[2].weight.zero_()  # type: ignore[operator, union-attr]
    network = network_of(module, ROWS, equalize=True)
    assert all(torch.isfinite(tensor).all() for tensor in network.weights.full.values())


def test_narrow_widths_gain_on_a_network_with_depthwise_layers(fashion: nl.Workload) -> None:
    plain, equal = (nl.QuantizationProblem(fashion, equalize=one) for one in (False, True))
    assert equal.full_precision_error() == pytest.approx(plain.full_precision_error(), abs=0.002)
    bits = np.full(plain.num_nodes, 4)
    assert equal.evaluate(bits)[0, 0] < plain.evaluate(bits)[0, 0] - 0.2
    assert plain.fingerprint() != equal.fingerprint()
    assert plain.error_with(bits, equalize=True) == equal.evaluate(bits)[0, 0]


def problem_of(equalize: bool) -> nl.QuantizationProblem:
    workload = nl.Workload.from_module(uneven(Mobile()), IMAGES[:2])
    settings: dict[str, Any] = {"equalize": equalize, "bias": "int32", "storage": "payload"}
    return nl.QuantizationProblem(workload, IMAGES, IMAGES, "agreement", **settings)


def test_it_gets_out_as_it_was_searched(tmp_path: Path) -> None:
    problem, plain = problem_of(True), problem_of(False)
    for run in (
        *save_onnx(problem, 6, tmp_path / "net.onnx").runs,
        *save_torch(problem, 6, tmp_path / "net.pt2").runs,
    ):
        assert run.agreement == 1
        assert run.difference < 1e-4
    file = save_packed(problem, 6, tmp_path / "net.safetensors")
    modules = quantized_module(problem, 6), load_packed(file, problem.workload)
    wanted, found = (module(IMAGES) for module in modules)
    assert torch.allclose(wanted, found, rtol=1e-5, atol=1e-6 * float(wanted.abs().max()))
    sizes = []
    for one in (problem, plain):
        data = save_packed(one, 6, tmp_path / "net.safetensors").read_bytes()
        header = int.from_bytes(data[:8], "little") + 8
        sizes.append((one.stored_bytes(np.full(one.num_nodes, 6))[1], len(data) - header))
    assert sizes[0][0] - sizes[1][0] == sizes[0][1] - sizes[1][1] == 4 * 2 * (12 + 12)  # both limits


def test_a_cost_model_counts_the_payload_that_there_is() -> None:
    workload = nl.Workload.from_module(uneven(Mobile()), IMAGES[:2])
    model = nl.CostModel(workload, storage="payload")
    with pytest.raises(nl.NemoError, match="equalize=True"):
        nl.QuantizationProblem(workload, IMAGES, IMAGES, "agreement", cost_model=model, equalize=True)
    with_limits = nl.CostModel(workload, storage="payload", equalize=True)
    nl.QuantizationProblem(workload, IMAGES, IMAGES, "agreement", cost_model=with_limits, equalize=True)
    bits = np.full((1, len(workload.nodes)), 8)
    assert with_limits.evaluate(bits)[0, 0] > model.evaluate(bits)[0, 0]
