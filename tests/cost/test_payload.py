"""The payload is what a packed file holds: weights, scales, zero points, and every other number."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nemo_lab as nl
from nemo_lab.errors import ArgumentError, BitWidthError
from nemo_lab.export import save_packed
from nemo_lab.export.packing import bytes_of
from nemo_lab.export.record import settings

WIDTHS = tuple(range(2, 17))


def drawn(problem: nl.QuantizationProblem, seed: int = 0) -> list[int]:
    widths = problem.bit_widths
    return np.random.default_rng(seed).choice(widths, problem.num_nodes).tolist()  # type: ignore[no-any-return]


def body(problem: nl.QuantizationProblem, bits: list[int], folder: Path) -> int:
    """Bytes of a packed file without its header, and with the ranges of activations, which that holds."""
    data = save_packed(problem, bits, folder / "net.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    ranges = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["nemo_lab"])["activations"]
    widths = dict(zip(problem.node_names, bits, strict=True))
    whole = 8 * (len(data) - 8 - length)
    return whole + sum(32 + widths[problem.workload.find(name).name] for name in ranges)


def gaps(problem: nl.QuantizationProblem, bits: list[int]) -> int:
    """Bits that a packed file leaves empty, since each tensor begins with a byte."""
    empty = 0
    for node, width in zip(problem.workload.nodes, bits, strict=True):
        for one in node.quantizers if node.kind == "weight" else ():
            for count in (int(np.prod(one.shape)), one.channels if problem.config.per_channel else 1):
                empty += 8 * bytes_of(count, width) - count * width
    return empty


def counted(problem: nl.QuantizationProblem, bits: list[int]) -> int:
    """Bits by the cost model."""
    return round(8e6 * problem.cost_model.absolute(bits)[0, 0])


@pytest.mark.parametrize("name", ["digits", "fashion", "text"])
@pytest.mark.parametrize(
    "told",
    [{}, {"per_channel": True, "bias": "int32"}, {"fold": False}],
    ids=["plain", "channels", "norms"],
)
def test_of_the_embedded_networks(
    name: str, told: dict[str, Any], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    workload = request.getfixturevalue(name)
    problem = nl.QuantizationProblem(workload, storage="payload", bit_widths=WIDTHS, **told)
    bits = drawn(problem)
    assert counted(problem, bits) + gaps(problem, bits) == body(problem, bits, tmp_path)
    weights, payload = problem.stored_bytes(bits)
    assert payload == -(-counted(problem, bits) // 8)
    assert weights == -(-round(8e6 * nl.CostModel(workload).absolute(bits)[0, 0]) // 8)
    assert weights < payload


class Norms(nn.Module):
    """Two norms behind each other, a convolution without a bias, a norm that cannot be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.bare = nn.Conv2d(3, 6, 3, bias=False)
        self.first, self.second, self.alone = (nn.BatchNorm2d(6) for _ in range(3))
        self.twice = nn.Conv2d(6, 6, 1)
        self.head = nn.Linear(6, 4, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.first(self.bare(x)))
        x = self.alone(F.relu(self.twice(F.relu(self.twice(x)))))
        return self.head(x.mean((2, 3)))


class Functions(nn.Module):
    """Functional layers, one bias for two of them, a stored matrix product, a stored index."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.randn(8, 12)), nn.Parameter(torch.randn(8, 8))
        self.bias, self.scale = nn.Parameter(torch.randn(8)), nn.Parameter(torch.randn(3, 3))
        self.unused = nn.Linear(50, 50)
        self.offsets = nn.Buffer(torch.arange(12), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = (x.reshape(-1, 4, 3) @ self.scale).flatten(1)[:, self.offsets]
        return F.linear(F.relu(F.linear(x, self.a, self.bias)), self.b, self.bias)


class Text(nn.Module):
    """An embedding that is the last layer, too, and what stays in full precision."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.kept = nn.Embedding(20, 8), nn.Embedding(5, 8)
        self.recurrent = nn.LSTM(8, 8, batch_first=True)
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 20)
        self.head.weight = self.embedding.weight

    def forward(self, x: Tensor) -> Tensor:
        x = self.embedding(x) + self.kept(x % 5)
        return self.head(self.norm(self.recurrent(x)[0]))


def computed() -> nn.Module:
    weight_norm = torch.nn.utils.parametrizations.weight_norm
    return nn.Sequential(weight_norm(nn.Conv2d(3, 4, 3)), nn.ReLU(), nn.Flatten(), nn.Linear(144, 4)).half()


IMAGES = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))
NETWORKS: dict[str, tuple[Callable[[], nn.Module], Tensor, dict[str, Any]]] = {
    "norms": (Norms, IMAGES, {}),
    "functions": (Functions, IMAGES[:, 0, :4, :3].flatten(1), {}),
    "text": (Text, torch.arange(160).reshape(16, 10) % 20, {"ignore": ("kept", "recurrent")}),
    "left out": (Norms, IMAGES, {"ignore": "twice"}),
    "tied": (Norms, IMAGES, {"tie": [("bare.weight", "head.weight")]}),
    "computed in half": (computed, IMAGES.half(), {}),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("told", [{"per_channel": True}, {"fold": False}], ids=["channels", "norms"])
def test_of_networks_of_all_kinds(name: str, told: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    make, inputs, options = NETWORKS[name]
    workload = nl.Workload.from_module(make().eval(), inputs[:4], **options)
    problem = nl.QuantizationProblem(workload, inputs, inputs, metric="kl", storage="payload", **told)
    bits = drawn(problem)
    assert counted(problem, bits) + gaps(problem, bits) == body(problem, bits, tmp_path)


def test_a_bias_that_two_layers_share_is_stored_for_each_once_it_is_rounded(tmp_path: Path) -> None:
    make, inputs, _ = NETWORKS["functions"]
    workload = nl.Workload.from_module(make(), inputs[:4])
    problem = nl.QuantizationProblem(workload, inputs, inputs, metric="kl", storage="payload", bias="int32")
    bits = drawn(problem)
    more = body(problem, bits, tmp_path) - counted(problem, bits) - gaps(problem, bits)
    assert more == 2 * 8 * 32  # in the units of each layer; the one that they shared stays in the file


def test_a_case_by_hand() -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3, bias=False)
    ).eval()
    workload = nl.Workload.from_module(net, torch.zeros(1, 1, 2, 2))
    bits = [4, 2, 3, 8]  # image, convolution, its output, linear layer
    assert [node.params for node in workload.nodes] == [0, 2, 0, 24]
    weights, ranges, numbers = 2 * 2 + 24 * 8, 4 * 32 + 4 + 2 + 3 + 8, 2 * 32
    costs = nl.CostModel(workload, storage="payload")
    assert costs.evaluate(bits)[0, 0] == (weights + ranges + numbers) / (26 * 32 + numbers)
    assert costs.full_precision[0] == (26 * 32 + numbers) / 8e6
    channels = nl.CostModel(workload, storage="payload", scales="per_channel")
    more = 1 * (32 + 2) + 2 * (32 + 8)
    assert channels.evaluate(bits)[0, 0] == (weights + ranges + more + numbers) / (26 * 32 + numbers)
    norms = nl.CostModel(workload, storage="payload", fold=False)
    numbers += 4 * 2 * 32 + 64  # and how many batches it has seen
    assert norms.evaluate(bits)[0, 0] == (weights + ranges + numbers) / (26 * 32 + numbers)
    assert norms.with_table("energy", {name: {8: 1.0} for name in workload.names}).uniform(8) == (
        *norms.uniform(8), 4.0
    )  # fmt: skip


def test_a_norm_in_training_mode_is_not_folded(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 4)).eval()

    class Training(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Tensor:
            self.net[1].train()
            return self.net(x)  # type: ignore[no-any-return]

    workload = nl.Workload.from_module(Training().eval(), IMAGES[:4])
    net.train()  # later on: it is searched as it was traced
    folded, kept = (nl.CostModel(workload, storage="payload", fold=one) for one in (True, False))
    problem = nl.QuantizationProblem(workload, IMAGES, IMAGES, metric="kl", storage="payload")
    bits = drawn(problem)
    assert counted(problem, bits) + gaps(problem, bits) == body(problem, bits, tmp_path)
    assert folded.evaluate(bits).tolist() == problem.cost_model.evaluate(bits).tolist()
    assert kept.full_precision[0] >= folded.full_precision[0]


def test_weights_are_counted_as_ever(digits: nl.Workload, digits_problem: nl.QuantizationProblem) -> None:
    same = nl.QuantizationProblem(digits, storage="weights")
    assert same.fingerprint() == digits_problem.fingerprint()
    payload = nl.QuantizationProblem(digits, storage="payload")
    assert payload.fingerprint()["settings"] != same.fingerprint()["settings"]
    bits = drawn(same)
    assert payload.costs(bits)[0, 1] == same.costs(bits)[0, 1]
    assert payload.costs(bits)[0, 0] > same.costs(bits)[0, 0]
    assert payload.stored_bytes(bits) == same.stored_bytes(bits)


def test_a_payload_of_another_problem_is_refused(digits: nl.Workload) -> None:
    plain, channels = (
        nl.CostModel(digits, storage="payload", scales=one)
        for one in ("per_tensor", "per_channel")  # type: ignore[arg-type]
    )
    assert nl.QuantizationProblem(digits, cost_model=channels, per_channel=True).cost_model is channels
    for model, told, hint in (
        (plain, {"per_channel": True}, "scales='per_channel', fold=True, equalize=False"),
        (channels, {}, "scales='per_tensor', fold=True, equalize=False"),
        (plain, {"fold": False}, "scales='per_tensor', fold=False, equalize=False"),
        (plain, {"equalize": True}, "scales='per_tensor', fold=True, equalize=True"),
    ):
        with pytest.raises(ArgumentError, match=rf"give CostModel\(workload, storage='payload', {hint}\)"):
            nl.QuantizationProblem(digits, cost_model=model, **told)
    with pytest.raises(ArgumentError, match="beside a cost_model that counts weights"):
        nl.QuantizationProblem(digits, storage="payload", cost_model=nl.CostModel(digits))
    with pytest.raises(ArgumentError, match="scales='none' in a payload"):
        nl.CostModel(digits, storage="payload", scales="none")
    with pytest.raises(ArgumentError, match="storage='all'; give 'weights' or 'payload'"):
        nl.CostModel(digits, storage="all")  # type: ignore[arg-type]


def test_units_and_records_speak_of_the_payload(digits: nl.Workload) -> None:
    problem = nl.QuantizationProblem(digits, storage="payload")
    bits = drawn(problem)
    (megabytes,) = problem.objectives[1].units
    assert megabytes.of(problem.costs(bits)[0, 0]) == pytest.approx(
        problem.stored_bytes(bits)[1] / 1e6, abs=1e-6
    )
    assert settings(problem)["storage"] == "payload"
    assert "storage" not in settings(nl.QuantizationProblem(digits))


def test_bytes_are_of_one_configuration(digits_problem: nl.QuantizationProblem) -> None:
    assert digits_problem.stored_bytes([[4] * 36]) == digits_problem.stored_bytes(np.full(36, 4))
    with pytest.raises(BitWidthError, match="these are 2 configurations; give one"):
        digits_problem.stored_bytes([[4] * 36] * 2)
    with pytest.raises(BitWidthError, match="give one width for each of the 36 nodes"):
        digits_problem.stored_bytes([4] * 35)


def test_weights_that_came_packed_count_as_they_are_and_in_float32_in_full() -> None:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        last = torch.ao.nn.quantized.dynamic.Linear.from_float(prepared(nn.Linear(8, 3)))
    net = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), last)
    workload = nl.Workload.from_module(net, torch.zeros(2, 5), ignore="2")
    costs = nl.CostModel(workload, storage="payload")
    (part,) = (one for one in workload.full_precision if one.params)
    assert (part.params, part.bits) == (24, 8)
    numbers = 40 + 8 + 24 + 3 + 2  # two weights, two biases, and the scale and zero point that it came with
    assert costs.full_precision[0] == pytest.approx(32 * numbers / 8e6)
    ranges = sum(32 + 8 for _ in workload.nodes)
    assert costs.absolute([8] * len(workload.nodes))[0, 0] == pytest.approx(
        (40 * 8 + 24 * 8 + (8 + 3) * 32 + (32 + 64) + ranges) / 8e6
    )


def prepared(layer: nn.Module) -> nn.Module:
    """As torch.ao wants it, to be packed in int8."""
    layer.qconfig = torch.ao.quantization.default_dynamic_qconfig  # type: ignore[assignment]
    return layer
