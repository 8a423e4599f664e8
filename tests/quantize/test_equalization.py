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
from nemo_lab.export import (
    load_packed,
    quantized_module,
    save_encodings,
    save_onnx,
    save_packed,
    save_qonnx,
    save_torch,
)
from nemo_lab.quantize.config import QuantizationConfig
from nemo_lab.quantize.network import QuantizedNetwork
from nemo_lab.workload.arranged import tensors_read
from nemo_lab.workload.beside import beside_weights

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


class Looked(nn.Module):
    """A hook on what stands between two layers."""

    def __init__(self, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.a, self.act, self.b = nn.Linear(6, 8), nn.LeakyReLU(), nn.Linear(8, 8)
        self.act.register_forward_hook(lambda module, given, out: change(out))

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.act(self.a(x)))


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
        Looked(lambda out: out + 1),
        Looked(lambda out: out.flip(1)),
    ],
    ids=[
        "gelu",
        "silu",
        "shifted",
        "read twice",
        "turned",
        "mixed",
        "pooled",
        "called twice",
        "tied",
        "hook that adds",
        "hook that turns",
    ],
)
def test_what_does_not_go_channel_by_channel_is_left_alone(module: nn.Module) -> None:
    network = network_of(uneven(module), ROWS, equalize=True)
    plain = network_of(module, ROWS)
    for name, tensor in plain.weights.full.items():
        assert torch.equal(tensor, network.weights.full[name])


class Scores(nn.Module):
    """Weights and biases by function, of shapes that a layer does not have."""

    def __init__(self, *bias: int) -> None:
        super().__init__()
        self.a, self.weight = nn.Linear(6, 8), nn.Parameter(torch.randn(8, 8))
        self.bias, self.vector = nn.Parameter(torch.randn(*bias)), nn.Parameter(torch.randn(8))

    def forward(self, x: Tensor) -> Tensor:
        x = F.linear(F.relu(self.a(x)), self.weight, self.bias)
        return F.linear(F.relu(x), self.vector)[:, None].expand(-1, 2)


class Sequence(nn.Sequential):
    """Modules in turn, and images or rows that they take."""

    def __init__(self, x: Tensor, *modules: nn.Module) -> None:
        super().__init__(*modules)
        self.x = x


SIGNAL, VOLUME = IMAGES.flatten(2), IMAGES[:, :, None].expand(-1, -1, 4, -1, -1).contiguous()


@pytest.mark.parametrize(
    "module",
    [
        Scores(1),
        Scores(8),
        Scores(1, 8),
        Sequence(IMAGES, nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool3d((2, 1, 1)), nn.Conv2d(4, 5, 1)),
        Sequence(IMAGES, nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AvgPool3d((3, 1, 1), 1), nn.Conv2d(6, 5, 1)),
        Sequence(SIGNAL, nn.Conv1d(3, 8, 3), nn.ReLU6(), nn.AdaptiveAvgPool2d((4, 1)), nn.Conv1d(4, 5, 1)),
        Sequence(SIGNAL, nn.Conv1d(3, 8, 3), nn.ReLU6(), nn.AvgPool1d(2, ceil_mode=True), nn.Conv1d(8, 5, 1)),
        Sequence(VOLUME, nn.Conv3d(3, 8, 1), nn.ReLU6(), nn.AvgPool3d(2), nn.Conv3d(8, 4, 1, groups=2)),
        Sequence(IMAGES, nn.Conv2d(3, 8, 1), nn.Hardtanh(-1, 0), nn.Flatten(), nn.Linear(512, 4)),
        Sequence(SIGNAL, nn.Linear(64, 8), nn.ReLU(), nn.Flatten(), nn.Linear(24, 4)),
        Sequence(SIGNAL, nn.Linear(64, 8), nn.ReLU6(), nn.Dropout(0.5), nn.Linear(8, 4)),
    ],
    ids=[
        "bias of one", "bias", "bias of two axes", "maximum over channels", "smoothed channels",
        "channels in fours", "1d", "3d", "below zero", "rows side by side", "rows",
    ],
)  # fmt: skip
def test_whatever_follows_what_the_network_stays(module: nn.Module) -> None:
    x = getattr(module, "x", ROWS)
    if isinstance(module, Sequence):
        uneven(module)
    network = network_of(module.eval(), x, equalize=True)
    assert unchanged(network, module, x)


def test_channels_that_are_switched_off_harm_nothing() -> None:
    for off in (-float("inf"), -1e9):
        module = uneven(nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 4)))
        with torch.no_grad():
            module[0].bias[3] = off  # type: ignore[index]
        plain, equal = (
            network_of(module, ROWS, equalize=one).graph.get_parameter("0.bias") for one in (False, True)
        )
        others = [place for place in range(32) if place != 3]
        assert equal[3] == plain[3] == off
        assert equal[others].abs().max() <= plain[others].abs().max() * 1.0001
        assert not torch.equal(equal, plain)


class OneBias(nn.Module):
    """Two convolutions that share their bias, until a batch norm is folded into each."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.c = nn.Conv2d(3, 8, 1), nn.Conv2d(3, 8, 1)
        self.c.bias = self.a.bias
        self.norms = nn.ModuleList(nn.BatchNorm2d(8) for _ in range(2))
        self.b, self.d = nn.Conv2d(8, 4, 1), nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        one, other = (
            last(F.relu6(norm(first(x))))
            for first, norm, last in zip((self.a, self.c), self.norms, (self.b, self.d), strict=True)
        )
        return (one + other).mean((2, 3))


@pytest.mark.parametrize("module", [OneBias(), Mobile(), Scores(1)], ids=["shared bias", "mobile", "scores"])
def test_what_is_counted_is_what_there_is(module: nn.Module) -> None:
    x = ROWS if isinstance(module, Scores) else IMAGES
    workload = nl.Workload.from_module(module.eval(), x[:2])
    for equalize in (False, True):
        network = QuantizedNetwork(workload, QuantizationConfig(equalize=equalize))
        used = {
            id(tensor): tensor.numel()
            for node in network.graph.graph.nodes
            for tensor in tensors_read(network.graph, node)
        }
        weights = sum(tensor.numel() for tensor in network.weights.full.values())
        assert beside_weights(workload, True, equalize).stored == 32 * (sum(used.values()) - weights)


def problem_of(equalize: bool) -> nl.QuantizationProblem:
    workload = nl.Workload.from_module(uneven(Mobile()), IMAGES[:2])
    settings: dict[str, Any] = {"equalize": equalize, "bias": "int32", "storage": "payload"}
    return nl.QuantizationProblem(workload, IMAGES, IMAGES, "agreement", **settings)


@pytest.mark.parametrize("way", ["searched", "corrected", "tuned"])
def test_it_gets_out_as_it_was_searched(way: str, tmp_path: Path) -> None:
    problem: Any = problem_of(True)
    subject = problem
    if way == "corrected":
        subject = nl.correct_bias(problem, 6)
    elif way == "tuned":
        subject = nl.finetune(problem, 6, steps=4, progress=False)
    for write, name in (
        (save_onnx, "net.onnx"), (save_torch, "net.pt2"), (save_encodings, "a.onnx"), (save_qonnx, "q.onnx"),
    ):  # fmt: skip
        for run in write(subject, 6, tmp_path / name).runs:
            assert run.agreement == 1
            assert run.difference < 1e-4
    file = save_packed(subject, 6, tmp_path / "net.safetensors")
    modules = quantized_module(subject, 6), load_packed(file, problem.workload)
    wanted, found = (module(IMAGES) for module in modules)
    assert torch.allclose(wanted, found, rtol=1e-5, atol=1e-6 * float(wanted.abs().max()))


def test_limits_are_counted_as_they_are_stored(tmp_path: Path) -> None:
    sizes = []
    for equalize in (True, False):
        one = problem_of(equalize)
        data = save_packed(one, 6, tmp_path / "net.safetensors").read_bytes()
        header = int.from_bytes(data[:8], "little") + 8
        sizes.append((one.stored_bytes(np.full(one.num_nodes, 6))[1], len(data) - header))
    assert sizes[0][0] - sizes[1][0] == sizes[0][1] - sizes[1][1] == 4 * (12 + 12), "6 of each channel, not 0"


def test_a_cost_model_counts_the_payload_that_there_is() -> None:
    workload = nl.Workload.from_module(uneven(Mobile()), IMAGES[:2])
    model = nl.CostModel(workload, storage="payload")
    with pytest.raises(nl.NemoError, match="equalize=True"):
        nl.QuantizationProblem(workload, IMAGES, IMAGES, "agreement", cost_model=model, equalize=True)
    with_limits = nl.CostModel(workload, storage="payload", equalize=True)
    nl.QuantizationProblem(workload, IMAGES, IMAGES, "agreement", cost_model=with_limits, equalize=True)
    bits = np.full((1, len(workload.nodes)), 8)
    assert with_limits.evaluate(bits)[0, 0] > model.evaluate(bits)[0, 0]
