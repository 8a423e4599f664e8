"""Ranges and weights under every rule, against numbers worked out by hand."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nemo_lab import QuantizationProblem, Workload
from nemo_lab.errors import ArgumentError, DataError
from nemo_lab.quantize.affine import affine, fake_quantize
from nemo_lab.quantize.config import QuantizationConfig
from nemo_lab.quantize.network import QuantizedNetwork
from nemo_lab.quantize.observers import Observer, Ranges, best_range, sqnr
from nemo_lab.quantize.weights import Weights, quantize_weight
from tests.quantize.oracle import quantized

IMAGES = torch.randn(24, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """conv, batch norm, ReLU, transposed conv, batch norm without weights, ReLU6, linear."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.up, self.plain = nn.ConvTranspose2d(8, 6, 2), nn.BatchNorm2d(6, affine=False)
        self.narrow, self.bare = nn.Conv2d(6, 6, 3, bias=False), nn.BatchNorm2d(6, affine=False)
        self.head = nn.Linear(6, 4)
        for norm in (self.norm, self.plain, self.bare):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 3)
        self.norm.weight.data.normal_()
        self.norm.bias.data.normal_()

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.conv(x)))
        x = F.relu6(self.plain(self.up(x)))
        x = torch.relu(self.bare(self.narrow(x)))
        out: Tensor = self.head(x.mean((2, 3)))
        return out


class Viewed(nn.Module):
    """Its view works for one example in any layout, for more in the usual one only."""

    def __init__(self, merges: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.merges = merges
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4 if merges else 144, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        x = x.view(-1, 6, 6).view(-1, 4, 36).mean(2) if self.merges else x.view(x.shape[0], -1)
        out: Tensor = self.head(x)
        return out


def network_of(module: nn.Module, inputs: Tensor = IMAGES, **rules: Any) -> QuantizedNetwork:
    ignore, tie = rules.pop("ignore", ()), rules.pop("tie", ())
    workload = Workload.from_module(module.eval(), inputs[:2], ignore=ignore, tie=tie)
    network = QuantizedNetwork(workload, QuantizationConfig(**rules))
    network.calibrate(inputs.split(8))
    return network


def activations(module: Net, x: Tensor) -> dict[str, Tensor]:
    """What the module's quantizers see, by the plain way through it."""
    with torch.no_grad():
        one = torch.relu(module.norm(module.conv(x)))
        two = F.relu6(module.plain(module.up(one)))
        three = torch.relu(module.bare(module.narrow(two)))
    return {"conv.input": x, "up.input": one, "narrow.input": two, "head.input": three}


@pytest.mark.parametrize("fold", [True, False])
def test_minmax_is_the_mean_over_batches_of_the_extremes(fold: bool) -> None:
    module = Net().eval()
    network = network_of(module, IMAGES, fold=fold)
    seen = [activations(module, batch) for batch in IMAGES.split(8)]
    assert list(network.ranges) == list(seen[0])
    for name, found in network.ranges.items():
        low, high = (float(np.mean([float(s[name].min()) for s in seen])) for _ in range(2))
        high = float(np.mean([float(s[name].max()) for s in seen]))
        assert found.overall == pytest.approx((low, high), rel=1e-5, abs=1e-6)
        assert found.at(2) == found.at(8) == found.overall


def test_percentiles_leave_out_the_outliers() -> None:
    module = Net().eval()
    network = network_of(module, IMAGES, ranges="percentile", percentile=99.0)
    seen = [activations(module, batch) for batch in IMAGES.split(8)]
    for name, found in network.ranges.items():
        expected = np.mean([np.percentile(s[name].numpy(), [1, 99]) for s in seen], axis=0)
        assert found.overall == pytest.approx(tuple(expected), rel=1e-4, abs=1e-5)


def test_the_percentile_100_is_minmax() -> None:
    plain, all_of_it = (
        network_of(Net(), **rules) for rules in ({}, {"ranges": "percentile", "percentile": 100})
    )
    for name, found in plain.ranges.items():
        assert all_of_it.ranges[name].overall == pytest.approx(found.overall, rel=1e-6)


@pytest.mark.parametrize("symmetric", [False, True])
def test_mse_is_never_worse_than_minmax_and_better_at_few_bits(symmetric: bool) -> None:
    plain = network_of(Net(), symmetric=symmetric)
    best = network_of(Net(), ranges="mse", symmetric=symmetric)
    for name, found in best.ranges.items():
        for bits in range(2, 9):
            errors = []
            for ranges in (found, plain.ranges[name]):
                rounded = fake_quantize(found.sample, *ranges.at(bits), bits, symmetric)
                errors.append(float((rounded - found.sample).double().square().sum()))
            assert errors[0] <= errors[1] * (1 + 1e-6)
            if bits == 2:
                assert errors[0] < errors[1]
            low, high = found.overall
            share = found.at(bits)[1] / high
            assert 0.2 <= share <= 1
            assert found.at(bits)[0] == pytest.approx(share * low)


def test_the_range_of_an_outlier_shrinks() -> None:
    x = torch.cat([torch.linspace(-1, 1, 999), torch.tensor([4.0])])
    low, high = best_range(x, -1.0, 4.0, 3, symmetric=False)
    assert (low, high) != (-1.0, 4.0)
    assert best_range(torch.tensor([0.0, 1.0, 2.0, 3.0]), 0.0, 3.0, 2, symmetric=False) == (0.0, 3.0)


def test_symmetric_quantizers_have_zero_point_zero() -> None:
    network = network_of(Net(), symmetric=True)
    for bits in (2, 4, 8):
        half = 2 ** (bits - 1) - 1
        low, high = network.ranges["conv.input"].overall
        found = network.ranges["conv.input"].quantizer(bits)
        assert found == (pytest.approx(max(-low, high) / half), -half, half)
        found = network.ranges["up.input"].quantizer(bits)  # behind a ReLU: all levels are positive
        high = network.ranges["up.input"].overall[1]
        assert found == (pytest.approx(high / (2**bits - 1)), 0, 2**bits - 1)


def test_symmetric_by_hand() -> None:
    x = torch.tensor([-3.0, -1.0, 0.4, 0.6, 1.0, 3.0, 9.0])
    assert fake_quantize(x, -3, 1, 3, symmetric=True).tolist() == [-3, -1, 0, 1, 1, 3, 3]
    assert fake_quantize(x, 0, 7, 3, symmetric=True).tolist() == [0, 0, 0, 1, 1, 3, 7]


@pytest.mark.parametrize("bits", [2, 5, 8])
@pytest.mark.parametrize("per_channel", [False, True])
def test_weights_use_their_own_extremes_tensor_by_tensor_or_channel_by_channel(
    per_channel: bool, bits: int
) -> None:
    network = network_of(Net(), per_channel=per_channel, fold=False)
    for node in (n for n in network.workload.nodes if n.kind == "weight"):
        full, found = network.weights.full[node.name], network.weights.at(node.name, bits)
        axis = 1 if node.name == "up.weight" else 0
        pieces = (
            zip(full.split(1, axis), found.split(1, axis), strict=True) if per_channel else [(full, found)]
        )
        pieces = list(pieces)
        assert len(pieces) == (node.quantizers[0].channels if per_channel else 1)
        for piece, rounded in pieces:
            expected = quantized(piece, float(piece.min()), float(piece.max()), bits)
            assert torch.equal(rounded, expected)
            assert len(rounded.unique()) <= 2**bits


def test_rows_are_quantized_each_by_itself() -> None:
    rows = torch.tensor([[-1.0, 0.3, 0.6, 2.0], [0.0, 10.0, 14.0, 30.0], [0.0, 0.0, 0.0, 0.0]])
    expected = [[-1, 0, 1, 2], [0, 10, 10, 30], [0, 0, 0, 0]]
    assert quantize_weight(rows, 2, (3, 1)).tolist() == expected
    symmetric = quantize_weight(rows, 2, (3, 1), symmetric=True)
    assert symmetric.tolist() == [[0, 0, 0, 2], [0, 10, 10, 30], [0, 0, 0, 0]]


@pytest.mark.parametrize("channels", [8, 24, 64, 96])
def test_a_sample_meets_every_channel_equally_often_in_either_layout(channels: int) -> None:
    """In channels last an even step would stay on a few channels for ever."""
    numbers = torch.arange(float(channels)).reshape(1, -1, 1, 1).expand(8, -1, 32, 32)
    for layout in (torch.contiguous_format, torch.channels_last):
        observer = Observer(QuantizationConfig())
        observer.observe(numbers.clone(memory_format=layout))
        (sample,) = observer.samples
        assert 2048 <= len(sample) <= 8192
        counts = torch.bincount(sample.long(), minlength=channels)
        assert int(counts.max() - counts.min()) <= 2


def test_a_channel_that_stands_out_is_in_the_percentile() -> None:
    x = torch.rand(64, 64, 32, 32, generator=torch.Generator().manual_seed(0))
    x[:, 63] = 50.0
    observer = Observer(QuantizationConfig("percentile", 99.0))
    observer.observe(x.clone(memory_format=torch.channels_last))
    assert observer.extremes[0][1] == 50.0


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_quantized_weights_keep_their_strides(axis: int | None, layout: torch.memory_format) -> None:
    for shape in ((6, 1, 3, 3), (6, 4, 1, 1), (6, 4, 3, 3)):
        weight = torch.randn(shape, generator=torch.Generator().manual_seed(0)).clone(memory_format=layout)
        scales = () if axis is None else tuple(n if i == axis else 1 for i, n in enumerate(shape))
        found = quantize_weight(weight, 4, scales)
        assert found.stride() == weight.stride()
        pairs = (
            [(weight, found)]
            if axis is None
            else zip(weight.split(1, axis), found.split(1, axis), strict=True)
        )
        for full, rounded in pairs:
            assert torch.equal(rounded, quantized(full, float(full.min()), float(full.max()), 4))


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_mse_weights_are_never_worse_row_by_row(bits: int, symmetric: bool) -> None:
    rows = torch.randn(6, 200, generator=torch.Generator().manual_seed(1)) * torch.logspace(-3, 2, 6)[:, None]
    rows[2] = 0.0
    rows[3].clamp_(min=0.0)

    def error(found: Tensor) -> Tensor:
        return (found - rows).double().square().sum(1)

    best, plain = (quantize_weight(rows, bits, (6, 1), symmetric=symmetric, mse=mse) for mse in (True, False))
    assert bool((error(best) <= error(plain) * (1 + 1e-6)).all())
    assert bits > 3 or bool((error(best)[[0, 1, 4, 5]] < error(plain)[[0, 1, 4, 5]]).all())


def test_a_channel_of_zeros_stays_zero_under_every_rule() -> None:
    module = Net()
    module.head.weight.data[1] = 0.0
    for rule in ("minmax", "percentile", "mse"):
        for symmetric in (False, True):
            for per_channel in (False, True):
                network = network_of(module, ranges=rule, symmetric=symmetric, per_channel=per_channel)
                for bits in (2, 8, 16):
                    found = network.weights.at("head.weight", bits)
                    assert bool(torch.isfinite(found).all())
                    assert not found[1].any()


def test_all_zero_weights_and_constant_activations_stay_zero() -> None:
    for share in (0.0, -0.0, 1e-45):
        assert affine(0.0, share, 4).scale == 1.0
    module = Net()
    module.conv.weight.data.zero_()
    network = network_of(module, torch.zeros(8, 3, 8, 8))
    assert network.ranges["conv.input"].overall == (0.0, 0.0)
    network.set_bits([4] * len(network.workload.nodes))
    assert bool(torch.isfinite(network(network.prepare(IMAGES))).all())


def test_a_constant_activation_is_kept_exactly() -> None:
    for value in (3.7, -2.2):
        observer = Observer(QuantizationConfig())
        observer.observe(torch.full((4, 5), value))
        ranges = Ranges("x", observer)
        assert ranges.overall == pytest.approx((value, value))
        x = torch.full((3,), value)
        for bits in (2, 8):
            torch.testing.assert_close(fake_quantize(x, *ranges.at(bits), bits), x)


def test_quantized_weights_stay_within_their_cap_and_are_made_again() -> None:
    full = {name: torch.randn(100) for name in "abc"}
    weights = Weights(full, dict.fromkeys(full, 0), QuantizationConfig(), limit=1000)
    first = {(name, bits): weights.at(name, bits).clone() for name in full for bits in (2, 4)}
    assert weights.bytes == 800
    assert weights.at("c", 4) is weights.at("c", 4)
    assert all(torch.equal(weights.at(*key), value) for key, value in first.items())


@pytest.mark.parametrize("fold", [True, False])
def test_full_precision_is_the_modules_own_folded_or_not(fold: bool) -> None:
    module = Net().eval()
    network = network_of(module, fold=fold)
    network.set_bits(None)
    norms = [m for m in network.graph.modules() if isinstance(m, nn.BatchNorm2d)]
    called = [
        network.graph.get_submodule(str(n.target)) for n in network.graph.graph.nodes if n.op == "call_module"
    ]
    left = sum(m in norms for m in called)
    assert left == (1 if fold else 3)  # the one behind the transposed conv stays
    with torch.no_grad():
        torch.testing.assert_close(network(network.prepare(IMAGES)), module(IMAGES), rtol=1e-4, atol=1e-4)


def test_unfolded_weights_are_those_of_the_module() -> None:
    module = Net().eval()
    network = network_of(module, fold=False)
    assert torch.equal(network.weights.full["conv.weight"], module.conv.weight)
    assert not torch.equal(network_of(module).weights.full["conv.weight"], module.conv.weight)


def test_a_network_with_a_view_runs_in_the_usual_layout() -> None:
    assert network_of(Net()).channels_last
    module = Viewed(merges=False).eval()
    network = network_of(module)
    assert not network.channels_last
    assert all(weight.is_contiguous() for weight in network.weights.full.values())
    network.set_bits(None)
    with torch.no_grad():
        torch.testing.assert_close(network(network.prepare(IMAGES)), module(IMAGES))


def test_a_view_that_only_a_batch_of_one_permits_runs_in_the_usual_layout() -> None:
    module = Viewed(merges=True).eval()
    network = network_of(module)
    network.set_bits(None)
    with torch.no_grad():
        torch.testing.assert_close(network(network.prepare(IMAGES)), module(IMAGES))


@pytest.mark.parametrize(("images", "size"), [(IMAGES, 1), (IMAGES[:1], 32)])
def test_a_layout_is_tried_on_two_images_even_if_calibration_has_one(images: Tensor, size: int) -> None:
    workload = Workload.from_module(Viewed(merges=True).eval(), IMAGES[:1])
    problem = QuantizationProblem(workload, images, IMAGES, "kl", calibration_batch=size)
    assert np.isfinite(problem.evaluate([[8] * problem.num_nodes])).all()


def test_one_channel_and_one_pixel_run_in_channels_last_too() -> None:
    """There strides are ambiguous, and torch asks them which convolution to take."""
    module = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 8, 1), nn.Flatten(),
        nn.Linear(128, 4),
    )  # fmt: skip
    network = network_of(module, IMAGES[:, :1])
    assert network.channels_last
    assert network.prepare(IMAGES[:, :1]).stride() == (64, 1, 8, 1)
    for bits in (None, [4] * len(network.workload.nodes)):
        network.set_bits(bits)
        strides = [network.graph.get_submodule(name).weight.stride() for name in "023"]  # type: ignore[union-attr]
        assert strides == [(9, 1, 3, 1), (9, 1, 3, 1), (8, 1, 8, 8)]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_networks_of_other_precision_are_quantized_in_float32(dtype: torch.dtype) -> None:
    module = Net().to(dtype)
    workload = Workload.from_module(module.eval(), IMAGES[:2].to(dtype))
    data = (IMAGES.to(dtype), torch.arange(24) % 4)
    problem = QuantizationProblem(workload, IMAGES.to(dtype), data)
    plain = QuantizationProblem(
        Workload.from_module(copy.deepcopy(module).float().eval(), IMAGES[:2]), data[0].float(), data
    )
    bits = np.full((1, problem.num_nodes), 8)
    assert problem.network().weights.full["conv.weight"].dtype == torch.float32
    for name, found in plain.ranges.items():
        assert problem.ranges[name] == pytest.approx(found)
    assert np.array_equal(problem.evaluate(bits), plain.evaluate(bits))


def test_what_is_ignored_stays_in_full_precision() -> None:
    network = network_of(Net(), ignore="head.*")
    assert "head.weight" not in network.weights.full
    assert "head.input" not in network.ranges
    before = network.graph.get_submodule("head").weight.clone()
    network.set_bits([2] * len(network.workload.nodes))
    assert torch.equal(network.graph.get_submodule("head").weight, before)


def test_tied_quantizers_have_one_width_and_ranges_of_their_own() -> None:
    network = network_of(Net(), tie=[("conv.weight", "up.weight"), ("conv.input", "up.input")])
    nodes = {node.name: node for node in network.workload.nodes}
    bits = np.full(len(nodes), 8)
    bits[[nodes["conv.weight"].index, nodes["conv.input"].index]] = 2
    network.set_bits(bits)
    for name in ("conv", "up"):
        assert len(network.graph.get_submodule(name).weight.unique()) <= 4
    assert len(network.graph.get_submodule("narrow").weight.unique()) > 4
    assert network.ranges["conv.input"].overall != network.ranges["up.input"].overall
    for name in ("conv.input", "up.input"):
        assert network.activations[name].quantizer is not None
        assert network.activations[name].quantizer.scale == network.ranges[name].quantizer(2).scale


@pytest.mark.parametrize("form", ["function", "in place", "module", "module in place"])
def test_a_relu_that_is_absorbed_changes_no_number(form: str) -> None:
    class Clamped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.a, self.b = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3)
            self.act = nn.ReLU6(inplace=form == "module in place")

        def forward(self, x: Tensor) -> Tensor:
            x = 20 * self.a(x)
            y = F.relu6(x, inplace=form == "in place") if form in ("function", "in place") else self.act(x)
            out: Tensor = self.b(y).mean((2, 3))
            return out

    module = Clamped().eval()
    network = network_of(module)
    relu = [n for n in network.graph.graph.nodes if "relu" in str(n.target) or str(n.target) == "act"]
    assert not relu
    x = network.prepare(IMAGES)
    for bits in range(2, 9):
        network.set_bits([bits] * 4)
        rounded = quantized(IMAGES, *network.ranges["a.input"].overall, bits).contiguous(
            memory_format=torch.channels_last
        )
        with torch.no_grad():
            hidden = F.relu6(
                20 * F.conv2d(rounded, network.weights.at("a.weight", bits), network.graph.a.bias)
            )
            hidden = quantized(hidden, *network.ranges["b.input"].overall, bits)
            expected = F.conv2d(hidden, network.weights.at("b.weight", bits), network.graph.b.bias).mean(
                (2, 3)
            )
        assert torch.equal(network(x), expected)


@pytest.mark.parametrize("form", ["function", "module"])
def test_a_relu_in_place_on_a_view_changes_the_whole(form: str) -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.stem, self.act = nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True)
            self.part, self.whole = nn.Conv2d(4, 4, 1), nn.Conv2d(8, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            half = F.relu_(x[:, :4]) if form == "function" else self.act(x[:, :4])
            out: Tensor = (self.part(half) + self.whole(x)).mean((2, 3))
            return out

    module = Half().eval()
    network = network_of(module)
    network.set_bits(None)
    with torch.no_grad():
        torch.testing.assert_close(network(network.prepare(IMAGES)), module(IMAGES))


def test_functional_transposed_weights_have_their_channels_on_the_second_axis() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.kernel = nn.Parameter(torch.randn(3, 6, 2, 2) * torch.logspace(-2, 2, 6)[:, None, None])

        def forward(self, x: Tensor) -> Tensor:
            return F.conv_transpose2d(x, self.kernel).mean((2, 3))

    network = network_of(Functional(), per_channel=True)
    full, found = network.weights.full["kernel"], network.weights.at("kernel", 3)
    for piece, rounded in zip(full.split(1, 1), found.split(1, 1), strict=True):
        assert torch.equal(rounded, quantized(piece, float(piece.min()), float(piece.max()), 3))


def test_matrix_weights_on_the_right_have_their_channels_in_columns() -> None:
    class Product(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.matrix = nn.Parameter(torch.randn(3, 4) * torch.logspace(-2, 2, 4))

        def forward(self, x: Tensor) -> Tensor:
            return x.mean((2, 3)) @ self.matrix

    network = network_of(Product(), per_channel=True)
    full, found = network.weights.full["matrix"], network.weights.at("matrix", 3)
    assert network.workload.find("matrix").quantizers[0].channels == 4
    for piece, rounded in zip(full.split(1, 1), found.split(1, 1), strict=True):
        assert torch.equal(rounded, quantized(piece, float(piece.min()), float(piece.max()), 3))


# signal to quantization noise


def test_sqnr_by_hand() -> None:
    x = torch.tensor([3.0, 4.0])
    assert sqnr(x, torch.tensor([3.0, 3.5])) == pytest.approx(10 * np.log10(25 / 0.25))
    assert sqnr(x, x) == float("inf")
    assert sqnr(torch.zeros(2), torch.zeros(2)) == float("inf")


def test_a_bit_is_worth_six_decibels() -> None:
    observer = Observer(QuantizationConfig())
    x = torch.rand(4096, generator=torch.Generator().manual_seed(0))
    observer.observe(x)
    ranges = Ranges("x", observer)
    for bits in range(4, 10):
        # numbers from 0 to 1: signal 1/3, noise s^2/12 with s = 1 / (2^b - 1)
        assert ranges.sqnr(bits) == pytest.approx(10 * np.log10(4 * (2**bits - 1) ** 2), abs=0.5)
        assert ranges.sqnr(bits + 1) - ranges.sqnr(bits) == pytest.approx(6.02, abs=0.4)


def test_the_table_of_sqnr_is_that_of_each_node_alone() -> None:
    module = Net()
    module.head.weight.data = torch.arange(24.0).reshape(4, 6) % 4  # 0 to 3: exact at 2 bits
    workload = Workload.from_module(module.eval(), IMAGES[:2], tie=[("conv.weight", "up.weight")])
    problem = QuantizationProblem(workload, IMAGES, (IMAGES, np.zeros(24, dtype=int)))
    table = problem.sqnr()
    assert list(table.index) == list(problem.node_names)
    assert list(table.columns) == list(problem.bit_widths)
    assert table.loc["head.weight", 2] == np.inf
    weights = problem.network().weights

    def by_hand(name: str, bits: int) -> float:
        x = weights.full[name].double()
        noise = quantized(weights.full[name], float(x.min()), float(x.max()), bits).double() - x
        return 10 * float(torch.log10(x.square().sum() / noise.square().sum()))

    for bits in problem.bit_widths:
        assert table.loc["narrow.weight", bits] == pytest.approx(by_hand("narrow.weight", bits), abs=1e-6)
        worst = min(by_hand(name, bits) for name in ("conv.weight", "up.weight"))
        assert table.loc["conv.weight", bits] == pytest.approx(worst, abs=1e-6)
    steps = table.drop(index="head.weight").diff(axis=1).iloc[:, 2:]
    assert float(steps.to_numpy().mean()) == pytest.approx(6, abs=0.6)


# what is refused


def test_rules_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ArgumentError, match="ranges='max'; give 'minmax', 'percentile' or 'mse'"):
        QuantizationConfig(ranges="max")  # type: ignore[arg-type]
    for percentile in (50, 0, 100.1, float("nan")):
        with pytest.raises(ArgumentError, match=r"percentile=.*; give a percentile above 50, at most 100"):
            QuantizationConfig(percentile=percentile)


def test_calibration_without_batches_is_refused() -> None:
    with pytest.raises(DataError, match="the calibration set is empty; give at least one batch"):
        QuantizedNetwork(Workload.from_module(Net().eval(), IMAGES[:2])).calibrate([])


@pytest.mark.parametrize("rule", ["minmax", "percentile", "mse"])
def test_an_activation_that_is_not_finite_is_named(rule: str) -> None:
    module = Net()
    module.up.weight.data[0, 0] = torch.nan
    with pytest.raises(DataError, match=r"activation 'narrow.input' is not finite.*or check the weights"):
        network_of(module, ranges=rule)
