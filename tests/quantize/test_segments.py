"""Runs that begin where an earlier one agrees: the very same numbers, within the memory cap."""

from __future__ import annotations

import operator
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nemo_lab import Workload
from nemo_lab.quantize.affine import Codes
from nemo_lab.quantize.network import QuantizedNetwork
from nemo_lab.quantize.prefix_cache import KeptStates

IMAGES = torch.randn(12, 3, 8, 8, generator=torch.Generator().manual_seed(0))
TOKENS = torch.randn(12, 5, 8, generator=torch.Generator().manual_seed(0))


class Residual(nn.Module):
    """A stem and two blocks, each added to what came in."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.blocks = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1) for _ in range(2))
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        for block in self.blocks:
            x = torch.relu(x + block(x))
        out: Tensor = self.head(x.mean((2, 3)))
        return out


class Branches(nn.Module):
    """Three ways through, put together."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.ways = nn.ModuleList(nn.Conv2d(6, 4, k, padding=k // 2) for k in (1, 3, 5))
        self.join, self.head = nn.Conv2d(12 + 6, 8, 1), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self.stem(x))
        ways = [F.silu(way(x)) for way in self.ways]
        x = F.relu(self.join(torch.cat([*ways, F.max_pool2d(x, 3, 1, 1)], 1)))
        out: Tensor = self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))
        return out


class InPlace(nn.Module):
    """Activation functions and additions that overwrite."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.relu, self.silu = nn.ReLU(inplace=True), nn.SiLU(inplace=True)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.first(x))
        y = self.second(x)
        y += x
        y = self.silu(y)
        y.mul_(0.5).clamp_(-1, 3)
        out: Tensor = self.head(F.relu_(y).mean((2, 3)))
        return out


class Functional(nn.Module):
    """Weights as parameters of its own, products as functions."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(6, 3, 3, 3) / 5)
        self.matrix, self.bias = nn.Parameter(torch.randn(6, 6) / 2), nn.Parameter(torch.randn(6))
        self.last = nn.Parameter(torch.randn(4, 6))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(F.conv2d(x, self.kernel, padding=1)).flatten(2).transpose(1, 2)
        x = torch.tanh(x @ self.matrix + self.bias)
        return F.linear((x @ x.transpose(1, 2) @ x).mean(1), self.last)


class Chunks(nn.Module):
    """Both halves of a tensor, by index: the pair flows past the first half's quantizer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.left, self.right, self.head = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        pair = self.stem(x).chunk(2, 1)
        left = self.left(torch.relu(pair[0]))
        right = self.right(torch.relu(pair[1]))
        out: Tensor = self.head((left * right).mean((2, 3)))
        return out


class Sizes(nn.Module):
    """Reads the batch size before the first layer, and uses it after the last convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3), nn.Linear(64, 4)

    def forward(self, x: Tensor) -> Tensor:
        count = x.size(0)
        x = self.conv(torch.relu(self.stem(x)))
        out: Tensor = self.head(x.reshape(count, -1))
        return out


class Strided(nn.Module):
    """Half of a tensor flows past a quantizer as a view with gaps, and is summed up later."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv, self.head = nn.Conv2d(3, 32, 3), nn.Conv2d(16, 8, 3), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.sigmoid(self.stem(x))
        left, right = x[:, :16] * 1.0, x[:, 16:]
        out: Tensor = self.head(self.conv(torch.sigmoid(left)).mean((2, 3)))
        return out * right.sum((1, 2, 3))[:, None]


class Aliases(nn.Module):
    """A view made before a quantizer; behind it the whole is overwritten, and the view read."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1)
        self.d = nn.Linear(144, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.sigmoid(self.a(x))
        view = y.flatten(1)
        other = self.c(self.b(x))
        y = y.sub_(0.5)
        out: Tensor = self.d(view) + other.mean((2, 3)) * y.mean()
        return out


class Ratios(nn.Module):
    """Divides by a sum that quantization can make zero: 0 / 0."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(8, 8, bias=False), nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x.mean(1))
        out: Tensor = self.c(self.b(y / y.abs().sum(1, keepdim=True)))
        return out


def encoder() -> nn.Module:
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


def network_of(make: Callable[[], nn.Module], inputs: Tensor, kept: int = 2**27) -> QuantizedNetwork:
    torch.manual_seed(0)
    network = QuantizedNetwork(Workload.from_module(make().eval(), inputs[:2]), kept=kept)
    network.calibrate(inputs.split(6))
    return network


def same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(((a == b) | (a.isnan() & b.isnan())).all())


def relatives(nodes: int, count: int) -> np.ndarray:
    """Configurations, each sharing a beginning with an earlier one."""
    rng = np.random.default_rng(0)
    rows = [rng.integers(2, 9, nodes)]
    while len(rows) < count:
        row = rows[rng.integers(len(rows))].copy()
        first = rng.integers(nodes)
        row[first:] = rng.integers(2, 9, nodes - first)
        rows.append(row)
    return np.array(rows)


def differing_runs(network: QuantizedNetwork, inputs: Tensor, count: int = 40) -> int:
    """How many runs do not give what a call gives."""
    found = 0
    for row in relatives(len(network.workload.nodes), count):
        network.set_bits(row)
        for number, batch in enumerate(inputs.split(6)):
            prepared = network.prepare(batch)
            before = prepared.clone()
            found += not same(network.run(number, prepared), network(prepared))
            found += not same(prepared, before)
            assert network.kept.bytes <= network.kept.limit
    return found


@pytest.mark.parametrize("kept", [0, 20_000, 2**27])
@pytest.mark.parametrize("make", [Residual, Branches, InPlace, Functional])
def test_a_run_gives_what_a_call_gives(make: Callable[[], nn.Module], kept: int) -> None:
    network = network_of(make, IMAGES, kept)
    assert differing_runs(network, IMAGES) == 0
    assert (len(network.kept) > 0) == (kept > 0)


@pytest.mark.parametrize(
    ("make", "inputs"),
    [(encoder, TOKENS), (Chunks, IMAGES), (Sizes, IMAGES), (Strided, IMAGES), (Aliases, IMAGES)],
)
def test_a_run_gives_what_a_call_gives_whatever_flows(make: Callable[[], nn.Module], inputs: Tensor) -> None:
    assert differing_runs(network_of(make, inputs), inputs, count=60) == 0


def test_a_run_gives_nan_where_a_call_does() -> None:
    inputs = TOKENS.clone()
    inputs[3] *= 1e-5
    network = network_of(Ratios, inputs)
    row = np.full(len(network.workload.nodes), 8)
    for last in (8, 7, 6, 5):
        row[-1] = last
        network.set_bits(row)
        assert same(network.run(0, inputs), network(inputs))


def test_attention_by_export_keeps_full_precision_outputs() -> None:
    network = network_of(encoder, TOKENS)
    assert network.workload.traced_by == "torch.export"
    assert len(network.segments) > 10
    network.set_bits(None)
    with torch.no_grad():
        torch.testing.assert_close(network(TOKENS), network.workload.module(TOKENS), rtol=1e-4, atol=1e-5)


def test_full_precision_runs_whole_after_quantized_runs() -> None:
    network = network_of(Residual, IMAGES)
    network.set_bits(None)
    inputs = network.prepare(IMAGES)
    expected = network(inputs)
    for row in relatives(len(network.workload.nodes), 10):
        network.set_bits(row)
        network.run(0, inputs)
    network.set_bits(None)
    assert torch.equal(network.run(0, inputs), expected)


def test_a_segment_depends_on_no_later_decision() -> None:
    network = network_of(Branches, IMAGES)
    columns = [set(segment.decisions.tolist()) for segment in network.segments]
    assert all(early <= late for early, late in pairwise(columns))
    assert columns[-1] == set(range(len(network.workload.nodes)))


def test_work_that_is_shared_is_not_done_again() -> None:
    network = network_of(Residual, IMAGES)
    inputs = network.prepare(IMAGES[:6])
    row = np.full(len(network.workload.nodes), 6)
    calls = []
    network.graph.get_submodule("stem").register_forward_hook(lambda *_: calls.append(1))
    for last in (8, 7, 6, 5, 4):
        row[-1] = last
        network.set_bits(row)
        network.run(0, inputs)
    assert len(calls) == 2  # the first, and the second that notices that it came up before


# KeptStates alone


def part(count: int) -> Codes:
    return Codes(torch.zeros(count, dtype=torch.uint8), 1.0, 0.0)


def held(kept: KeptStates) -> int:
    """Bytes of what it holds, counted anew."""
    parts = {id(p): p for state in kept for p in state}
    return sum(p.nbytes for p in parts.values())


def test_nothing_comes_back_that_was_not_put() -> None:
    kept = KeptStates(800)
    assert kept.get("a") is None
    state = (part(10), torch.zeros(5))
    kept.put("a", state)
    assert kept.get("a") is state
    assert (len(kept), kept.bytes) == (1, 30)


def test_parts_that_states_share_count_once() -> None:
    kept, shared = KeptStates(8000), part(100)
    kept.put("a", (shared, part(10)))
    kept.put("b", (shared, shared, part(20)))
    assert kept.bytes == 130 == held(kept)
    kept.put("b", (part(500),))  # the first stays
    assert kept.bytes == 130


def test_the_state_used_longest_ago_goes_first() -> None:
    kept = KeptStates(80)
    for key in "abcdefgh":
        kept.put(key, (part(10),))
    kept.get("a")
    kept.put("i", (part(10),))
    kept.put("j", (part(5),))
    assert [key for key in "abcdefghij" if kept.get(key)] == [*"adefghij"]
    assert kept.bytes == 75


def test_a_shared_part_stays_until_its_last_state_goes() -> None:
    kept, shared = KeptStates(80), part(10)
    kept.put("a", (shared,))
    kept.put("b", (shared,))
    for key in range(7):
        kept.put(key, (part(10),))
    assert (kept.bytes, len(kept)) == (80, 9)
    kept.put("c", (part(10),))  # frees a, which frees nothing, then b
    assert (kept.bytes, len(kept)) == (80, 8)
    assert kept.get("a") is None
    assert kept.get("b") is None


def test_a_state_above_an_eighth_of_the_cap_is_not_kept() -> None:
    kept = KeptStates(80)
    kept.put("a", (part(11),))
    assert (len(kept), kept.bytes) == (0, 0)
    KeptStates(0).put("a", (part(1),))


@pytest.mark.parametrize("seed", range(5))
def test_bytes_are_right_and_below_the_cap_at_all_times(seed: int) -> None:
    rng, kept = np.random.default_rng(seed), KeptStates(400)
    parts = [part(int(n)) for n in rng.integers(0, 30, 12)]
    for _ in range(400):
        key = int(rng.integers(30))
        if kept.get(key) is None:
            kept.put(key, tuple(parts[i] for i in rng.integers(0, 12, 3)))
        if rng.random() < 0.3:  # a part made anew
            parts[rng.integers(12)] = part(int(rng.integers(0, 30)))
        assert kept.bytes == held(kept) <= 400
    kept.clear()
    assert (kept.bytes, len(kept), list(kept)) == (0, 0, [])
    kept.put("again", (parts[0], parts[0], parts[1]))  # nothing of what was counted is left
    assert kept.bytes == held(kept)


def test_a_beginning_recurs_with_another_configuration_only() -> None:
    kept = KeptStates(100)
    assert not kept.recurs("begin", b"one")
    assert not kept.recurs("begin", b"one")  # the next batch of the same
    assert kept.recurs("begin", b"two")
    assert not kept.recurs("other", b"two")
    kept.clear()
    assert not kept.recurs("begin", b"two")


def test_only_so_many_beginnings_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nemo_lab.quantize.prefix_cache.REMEMBERED", 3)
    kept = KeptStates(100)
    for begin in (1, 2, 3):
        kept.recurs(begin, b"one")
    kept.recurs(1, b"one")
    kept.recurs(4, b"one")  # pushes out 2, which was seen longest ago
    assert [kept.recurs(begin, b"two") for begin in (1, 3, 4)] == [True] * 3
    assert not kept.recurs(2, b"two")


def test_a_network_that_returns_a_dictionary() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Residual()

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            y = self.inner(x)
            return {"logits": y, "twice": operator.mul(y, 2)}

    network = network_of(Both, IMAGES)
    inputs = network.prepare(IMAGES[:6])
    for row in relatives(len(network.workload.nodes), 20):
        network.set_bits(row)
        found, expected = network.run(0, inputs), network(inputs)
        assert found.keys() == expected.keys() == {"logits", "twice"}
        assert all(torch.equal(found[key], expected[key]) for key in found)
