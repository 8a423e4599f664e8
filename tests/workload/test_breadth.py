"""Networks of every kind: nodes and MACs by hand, and the same MACs as torch's own counter finds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import _pytree as pytree
from torch.utils.flop_counter import FlopCounterMode

from nemo_lab import NemoWarning, Workload
from nemo_lab.quantize.network import QuantizedNetwork


@contextmanager
def plain_kernels(module: nn.Module) -> Iterator[None]:
    """Torch without the fused kernels that its counter of operations has no formula for."""
    fused, onednn = torch.backends.mha.get_fastpath_enabled(), torch._C._get_mkldnn_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    torch._C._set_mkldnn_enabled(onednn and not any(isinstance(m, nn.RNNBase) for m in module.modules()))
    try:
        with sdpa_kernel(SDPBackend.MATH), torch.no_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        torch._C._set_mkldnn_enabled(onednn)


def counted_macs(module: nn.Module, *args: Any) -> int:
    """Multiply-accumulates of one call, as ``FlopCounterMode`` counts them."""
    with plain_kernels(module), FlopCounterMode(display=False) as counter:
        module(*args)
    return counter.get_total_flops() // 2


# the networks


def convolutions(dims: int) -> nn.Module:
    """Plain, transposed, depthwise, transposed by groups, by groups: 4, 4, 8, 6, 8, 8 pixels a side."""
    conv: Any = getattr(nn, f"Conv{dims}d")
    transposed: Any = getattr(nn, f"ConvTranspose{dims}d")
    return nn.Sequential(
        conv(2, 4, 3, padding=1),
        transposed(4, 6, 2, stride=2),
        conv(6, 6, 3, groups=6),
        transposed(6, 4, 3, groups=2),
        conv(4, 8, 1, groups=2),
    )


def convolution_layers(dims: int) -> list[tuple[str, str, int]]:
    return [
        ("0", "conv", 4 * 4**dims * 2 * 3**dims),
        ("1", "transposed conv", 4**dims * 4 * 6 * 2**dims),  # each input pixel meets the whole kernel
        ("2", "depthwise conv", 6 * 6**dims * 3**dims),
        ("3", "transposed conv", 6**dims * 6 * 2 * 3**dims),
        ("4", "conv", 8 * 8**dims * 2),
    ]


class Functions(nn.Module):
    """Convolutions, a linear layer and a product by function, with parameters of one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(4, 2, 3, 3))
        self.up = nn.Parameter(torch.randn(4, 3, 2, 2))
        self.fc = nn.ParameterDict({"weight": torch.randn(5, 3), "bias": torch.randn(5)})
        self.matrix = nn.Parameter(torch.randn(5, 2))

    def forward(self, x: Tensor) -> Any:
        x = F.conv2d(x, self.kernel, padding=1, stride=2).relu()
        x = F.conv_transpose2d(x, self.up, stride=2)
        return F.linear(x.mean((2, 3)), self.fc["weight"], self.fc["bias"]) @ self.matrix


class Products(nn.Module):
    """Two activations meet by matmul, bmm, @ and einsum."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Any:
        q, k = self.q(x), self.k(x)
        scores = torch.matmul(q, k.transpose(1, 2))
        mixed = torch.bmm(scores, k)
        return torch.einsum("bij,bjd->bid", mixed @ q.transpose(1, 2), q)


class Attends(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.kv = nn.Linear(4, 8), nn.Linear(4, 16)

    def forward(self, x: Tensor) -> Any:
        q, k, v = (y.unflatten(-1, (2, 4)).transpose(1, 2) for y in (self.q(x), *self.kv(x).chunk(2, -1)))
        return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)


class Branches(nn.Module):
    """Two branches, concatenated; a third beside them, added."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 3, 1), nn.Conv2d(2, 4, 3, padding=1)
        self.c = nn.Conv2d(7, 2, 1)

    def forward(self, x: Tensor) -> Any:
        return self.c(torch.cat([self.a(x), self.b(x)], 1)) + x


class Positions(nn.Module):
    """A positional embedding (a weight) and a bias (none) are added."""

    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.randn(1, 5, 4))
        self.bias = nn.Parameter(torch.randn(4))
        self.linear = nn.Linear(4, 4, bias=False)

    def forward(self, x: Tensor) -> Any:
        return self.linear(x + self.position) + self.bias


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], **options: Any) -> None:
        super().__init__()
        self.rnn = kind(3, 5, batch_first=True, **options)
        self.head = nn.Linear(10 if options.get("bidirectional") else 5, 2)

    def forward(self, x: Tensor) -> Any:
        return self.head(self.rnn(x)[0])


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(10, 4), nn.Linear(4, 2)

    def forward(self, tokens: Tensor) -> Any:
        return self.head(self.embed(tokens))


def encoder(**options: Any) -> nn.Module:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, **options)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


def encoder_layers() -> list[tuple[str, str, int]]:
    """Five tokens of eight numbers, two heads."""
    return [
        (f"layers.{i}.{name}", op, macs)
        for i in range(2)
        for name, op, macs in (
            ("self_attn.in_proj", "linear", 5 * 8 * 24),
            ("self_attn.scores", "matmul", 2 * 5 * 5 * 4),
            ("self_attn.context", "matmul", 2 * 5 * 5 * 4),
            ("self_attn.out_proj", "linear", 5 * 8 * 8),
            ("linear1", "linear", 5 * 8 * 16),
            ("linear2", "linear", 5 * 16 * 8),
        )
    ]


class UNet(nn.Module):
    """Two steps down, two up, with a concatenation over each."""

    def __init__(self) -> None:
        super().__init__()
        self.d1, self.d2, self.mid = self.step(1, 4), self.step(4, 8), self.step(8, 16)
        self.u2, self.c2 = nn.ConvTranspose2d(16, 8, 2, stride=2), self.step(16, 8)
        self.u1, self.c1 = nn.ConvTranspose2d(8, 4, 2, stride=2), self.step(8, 4)
        self.out, self.pool = nn.Conv2d(4, 2, 1), nn.MaxPool2d(2)

    @staticmethod
    def step(inputs: int, outputs: int) -> nn.Module:
        conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Any:
        first = self.d1(x)
        second = self.d2(self.pool(first))
        x = self.mid(self.pool(second))
        x = self.c2(torch.cat([self.u2(x), second], 1))
        return self.out(self.c1(torch.cat([self.u1(x), first], 1)))


@dataclass(frozen=True)
class Case:
    """A network, its inputs for a batch, and what its workload must be.

    ``layers`` are name, operation and MACs; ``nodes`` how many weights and activations.
    """

    make: Callable[[], nn.Module]
    inputs: Callable[[int], Tensor]
    layers: list[tuple[str, str, int]]
    nodes: tuple[int, int]
    full_precision: tuple[tuple[str, str, int, int], ...] = ()


def normal(*shape: int) -> Callable[[int], Tensor]:
    return lambda batch: torch.randn(batch, *shape)


CASES = {
    **{
        f"{d}-d convolutions": Case(
            lambda d=d: convolutions(d), normal(2, *[4] * d), convolution_layers(d), (5, 5)
        )
        for d in (1, 2, 3)
    },
    "linear on sequences": Case(
        lambda: nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 2)),
        normal(5, 4),
        [("0", "linear", 5 * 4 * 8), ("2", "linear", 5 * 8 * 2)],
        (2, 2),
    ),
    "functions": Case(
        Functions,
        normal(2, 6, 6),
        [
            ("kernel", "conv", 4 * 9 * 2 * 9),
            ("up", "transposed conv", 9 * 4 * 3 * 4),
            ("fc", "linear", 5 * 3),
            ("matrix", "matmul", 5 * 2),
        ],
        (4, 4),
    ),
    "products": Case(
        Products,
        normal(3, 4),
        [("q", "linear", 48), ("k", "linear", 48)]
        + [(name, "matmul", 36) for name in ("matmul", "bmm", "matmul_1", "einsum")],
        (2, 6),  # x, q, k, scores, mixed, mixed @ q
    ),
    "attention": Case(
        Attends,
        normal(5, 4),
        [
            ("q", "linear", 5 * 4 * 8),
            ("kv", "linear", 5 * 4 * 16),
            ("scores", "matmul", 2 * 5 * 5 * 4),
            ("context", "matmul", 2 * 5 * 5 * 4),
        ],
        (2, 5),  # x, q, k, v, probabilities
    ),
    "branches": Case(
        Branches,
        normal(2, 4, 4),
        [("a", "conv", 3 * 16 * 2), ("b", "conv", 4 * 16 * 2 * 9), ("c", "conv", 2 * 16 * 7)],
        (3, 3),  # x (three times), what is concatenated, c's output (added)
    ),
    "positions": Case(Positions, normal(5, 4), [("linear", "linear", 5 * 4 * 4)], (2, 2)),
    "lstm": Case(
        lambda: Recurrent(nn.LSTM),
        normal(7, 3),
        [("head", "linear", 7 * 5 * 2)],
        (1, 1),
        (("rnn", "lstm", 4 * 5 * (3 + 5), 7 * 4 * 5 * (3 + 5)),),
    ),
    "deep lstm in both directions": Case(
        lambda: Recurrent(nn.LSTM, num_layers=2, bidirectional=True),
        normal(7, 3),
        [("head", "linear", 7 * 10 * 2)],
        (1, 1),
        (("rnn", "lstm", 2 * 4 * 5 * (3 + 5 + 10 + 5), 7 * 2 * 4 * 5 * (3 + 5 + 10 + 5)),),
    ),
    "gru": Case(
        lambda: Recurrent(nn.GRU),
        normal(7, 3),
        [("head", "linear", 7 * 5 * 2)],
        (1, 1),
        (("rnn", "gru", 3 * 5 * (3 + 5), 7 * 3 * 5 * (3 + 5)),),
    ),
    "embedding": Case(
        Words,
        lambda batch: torch.randint(0, 10, (batch, 3)),
        [("head", "linear", 3 * 4 * 2)],
        (1, 1),
        (("embed", "embedding", 40, 0),),
    ),
    # a layer: its input, q, k, v, probabilities, context, two addends, the first norm's output, the GELU's
    "encoder": Case(encoder, normal(5, 8), encoder_layers(), (8, 20)),
    # the norms' outputs besides the sums, of which the last one nobody multiplies or adds
    "encoder, norm first": Case(
        lambda: encoder(norm_first=True, activation="gelu"), normal(5, 8), encoder_layers(), (8, 24)
    ),
    "u-net": Case(
        UNet,
        normal(1, 8, 8),
        [
            ("d1.0", "conv", 4 * 64 * 9),
            ("d2.0", "conv", 8 * 16 * 4 * 9),
            ("mid.0", "conv", 16 * 4 * 8 * 9),
            ("u2", "transposed conv", 4 * 16 * 8 * 4),
            ("c2.0", "conv", 8 * 16 * 16 * 9),
            ("u1", "transposed conv", 16 * 8 * 4 * 4),
            ("c1.0", "conv", 4 * 64 * 8 * 9),
            ("out", "conv", 2 * 64 * 4),
        ],
        (8, 8),
    ),
}


@dataclass(frozen=True)
class Traced:
    """A case, its network, and its workloads from examples of one and of three."""

    name: str
    case: Case
    net: nn.Module
    one: Workload
    three: Workload
    said: tuple[tuple[str, ...], ...]


@pytest.fixture(scope="module", params=CASES)
def traced(request: pytest.FixtureRequest) -> Traced:
    case = CASES[request.param]
    torch.manual_seed(0)
    net = case.make().eval()
    workloads, said = [], []
    for batch in (1, 3):
        with pytest.warns() if case.full_precision else _no_warning() as caught:
            workloads.append(
                Workload.from_module(net, case.inputs(batch), name=request.param, activations="all")
            )
        said.append(tuple(str(warning.message) for warning in caught or ()))
    return Traced(request.param, case, net, workloads[0], workloads[1], tuple(said))


@contextmanager
def _no_warning() -> Iterator[None]:
    yield


# what holds for every network


def test_layers_and_nodes_by_hand(traced: Traced) -> None:
    assert [(layer.name, layer.op, layer.macs) for layer in traced.one.layers] == traced.case.layers
    kinds = Counter(node.kind for node in traced.one.nodes)
    assert (kinds["weight"], kinds["activation"]) == traced.case.nodes


def test_parts_in_full_precision_are_said_once_and_counted(traced: Traced) -> None:
    parts = tuple((p.name, p.op, p.params, p.macs) for p in traced.one.full_precision)
    assert parts == traced.case.full_precision
    for messages in traced.said:
        assert len(messages) == bool(parts)
        for message, (name, op, params, macs) in zip(messages, parts, strict=True):
            assert f"{name} ({op}: {params:,} weights, {macs:,} MACs)" in message
    assert traced.one.macs == sum(macs for _, _, macs in traced.case.layers) + sum(p[3] for p in parts)
    stored = sum(p.numel() for p in traced.net.parameters() if p.numel() > max(p.shape))
    assert traced.one.params == stored  # biases, norms and other vectors are not counted


def test_macs_are_those_torch_counts(traced: Traced) -> None:
    assert counted_macs(traced.net, traced.case.inputs(1)) == traced.one.macs
    assert counted_macs(traced.net, traced.case.inputs(3)) == 3 * traced.one.macs


def test_the_batch_of_the_example_does_not_matter(traced: Traced) -> None:
    for one, three in zip(traced.one.nodes, traced.three.nodes, strict=True):
        for field in (
            "name",
            "aliases",
            "kind",
            "op",
            "params",
            "macs",
            "kernel_size",
            "stride",
            "depthwise",
        ):
            assert getattr(one, field) == getattr(three, field), (one.name, field)
    assert traced.one.layers == traced.three.layers
    assert traced.one.full_precision == traced.three.full_precision
    assert traced.one.topology.tolist() == traced.three.topology.tolist()


def test_shapes_are_those_of_one_example(traced: Traced) -> None:
    for one, three in zip(traced.one.nodes, traced.three.nodes, strict=True):
        assert one == three


def test_names_are_unique_and_found(traced: Traced) -> None:
    workload = traced.one
    every = [name for node in workload.nodes for name in (node.name, *node.aliases)]
    assert len(set(every)) == len(every)
    for node in workload.nodes:
        assert all(workload.find(name) is node for name in (node.name, *node.aliases))


def test_edges_go_forward_between_nodes(traced: Traced) -> None:
    source, target = traced.one.topology
    assert source.min() >= 0
    assert target.max() < len(traced.one.nodes)
    assert (source < target).all()  # execution order, so there is no cycle
    assert len(set(zip(source.tolist(), target.tolist(), strict=True))) == len(source)
    for layer in traced.one.layers:
        left, right = (traced.one.nodes[i] for i in layer.operands if i is not None)
        if left.kind == "weight" and right.kind == "activation":
            assert (right.index, left.index) in set(zip(source.tolist(), target.tolist(), strict=True))


def test_the_graph_computes_what_the_module_computes(traced: Traced) -> None:
    for batch in (1, 2, 5):
        x = traced.case.inputs(batch)
        with torch.no_grad():
            torch.testing.assert_close(traced.one.graph(x), traced.net(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 4])
def test_the_quantized_network_is_the_module_at_many_bits(traced: Traced, batch: int) -> None:
    network = QuantizedNetwork(traced.three)
    x = traced.case.inputs(batch)
    with torch.no_grad():
        wanted = traced.net(x)
    network.set_bits(None)
    (found,) = pytree.tree_leaves(network(x))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    network.calibrate([x])
    network.set_bits([16] * len(traced.one.nodes))
    (found,) = pytree.tree_leaves(network(network.prepare(x)))
    assert float((found - wanted).abs().max()) < 0.01 * float(wanted.abs().max())


# true data flow, drawn by hand


def edges_of(workload: Workload) -> set[tuple[int, int]]:
    return {(int(source), int(target)) for source, target in workload.topology.T}


def test_the_flow_of_a_u_net() -> None:
    workload = Workload.from_module(UNet(), torch.zeros(1, 1, 8, 8))
    down = {(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6)}  # d1.0, d2.0, mid.0: tensor, weight, tensor
    up = {(6, 7), (7, 8), (8, 9), (9, 10), (10, 11), (11, 12), (12, 13), (13, 14), (14, 15)}
    over = {(4, 8), (2, 12)}  # the two concatenations
    assert edges_of(workload) == down | up | over


def test_the_flow_of_attention() -> None:
    workload = Workload.from_module(Attends(), torch.zeros(1, 5, 4))
    x, q_weight, q, kv_weight, k, v, probabilities = (
        workload.find(name).index
        for name in (
            "q.input", "q.weight", "scores.input", "kv.weight", "scores.other", "context.other",
            "context.input",
        )
    )  # fmt: skip
    assert edges_of(workload) == {
        (x, q_weight), (q_weight, q), (x, kv_weight), (kv_weight, k), (kv_weight, v),
        (q, probabilities), (k, probabilities),
    }  # fmt: skip


class ReadsSize(nn.Module):
    """Takes the batch size from its input, long before it is used."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(2, 4)

    def forward(self, x: Tensor) -> Any:
        size = x.shape[0]
        return self.c(self.b(self.a(x)).reshape(size, 2, 2))


def test_sizes_are_no_data_flow() -> None:
    workload = Workload.from_module(ReadsSize(), torch.zeros(2, 4))
    assert edges_of(workload) == {(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)}


def test_the_flow_of_an_encoder() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    workload = Workload.from_module(layer, torch.zeros(1, 5, 8), activations="all")
    names = workload.names
    assert names == (
        "self_attn.in_proj.input", "self_attn.in_proj_weight", "self_attn.scores.input",
        "self_attn.scores.other", "self_attn.context.other", "self_attn.context.input",
        "self_attn.out_proj.input", "self_attn.out_proj.weight", "self_attn.out_proj.output",
        "linear1.input", "linear1.weight", "linear2.input", "linear2.weight", "linear2.output",
    )  # fmt: skip
    assert edges_of(workload) == {
        (0, 1), (1, 2), (1, 3), (1, 4), (2, 5), (3, 5), (5, 6), (4, 6), (6, 7), (7, 8),
        (0, 9), (8, 9), (9, 10), (10, 11), (11, 12), (12, 13),
    }  # fmt: skip


# scaled dot product attention, in all its ways


class Attention(nn.Module):
    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = options

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(query, key, value, **self.options)


def tokens(batch: int, heads: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Five queries and seven keys of 4 numbers, values of 6."""
    return torch.randn(batch, heads, 5, 4), torch.randn(batch, 2, 7, 4), torch.randn(batch, 2, 7, 6)


@pytest.mark.parametrize(
    ("options", "heads"),
    [
        ({}, 2),
        ({"attn_mask": torch.linspace(-3, 3, 35).reshape(5, 7)}, 2),
        ({"attn_mask": torch.ones(5, 7, dtype=torch.bool).tril(1)}, 2),
        ({"is_causal": True}, 2),
        ({"scale": 0.3}, 2),
        ({"is_causal": True, "scale": 2.0, "dropout_p": 0.0}, 2),
        ({"enable_gqa": True}, 4),
        ({"enable_gqa": True, "is_causal": True}, 6),
    ],
    ids=lambda value: ", ".join(value) or "plain" if isinstance(value, dict) else str(value),
)
def test_attention_is_two_products(options: dict[str, Any], heads: int) -> None:
    torch.manual_seed(0)
    net = Attention(**options)
    workload = Workload.from_module(net, tokens(2, heads))
    assert [(layer.name, layer.op, layer.macs) for layer in workload.layers] == [
        ("scores", "matmul", heads * 5 * 7 * 4),
        ("context", "matmul", heads * 5 * 7 * 6),
    ]
    # queries, keys, values and probabilities; no mask
    assert sorted(workload.names) == ["context.input", "context.other", "scores.input", "scores.other"]
    inputs = tokens(3, heads)
    torch.testing.assert_close(workload.graph(*inputs), net(*inputs), rtol=1e-4, atol=1e-5)
    assert counted_macs(net, *inputs) == 3 * workload.macs


class MaskedAttention(Attends):
    def forward(self, x: Tensor, mask: Tensor) -> Any:  # type: ignore[override]
        q, k, v = (y.unflatten(-1, (2, 4)).transpose(1, 2) for y in (self.q(x), *self.kv(x).chunk(2, -1)))
        return F.scaled_dot_product_attention(q, k, v, mask).transpose(1, 2).flatten(2)


@pytest.mark.parametrize("kind", ["float", "bool"])
def test_a_mask_that_is_given_is_not_quantized(kind: str) -> None:
    torch.manual_seed(0)
    net = MaskedAttention()

    def inputs(batch: int) -> tuple[Tensor, Tensor]:
        mask = torch.randn(batch, 1, 5, 5)
        return torch.randn(batch, 5, 4), mask if kind == "float" else mask > -1

    workload = Workload.from_module(net, inputs(2))
    assert len(workload.nodes) == 7  # as without a mask
    assert [layer.macs for layer in workload.layers] == [160, 320, 200, 200]
    x = inputs(3)
    torch.testing.assert_close(workload.graph(*x), net(*x), rtol=1e-4, atol=1e-5)


class AddsMask(nn.Module):
    """Attention by hand: a mask is added to the scores, and softmax is a module."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.softmax = nn.Linear(4, 12), nn.Softmax(-1)
        self.register_buffer("mask", torch.full((5, 5), -9.0).triu(1))

    def forward(self, x: Tensor) -> Any:
        q, k, v = self.qkv(x).chunk(3, -1)
        return self.softmax(q @ k.mT / 2 + self.mask) @ v


def test_a_mask_added_to_scores_is_no_node() -> None:
    workload = Workload.from_module(AddsMask(), torch.zeros(1, 5, 4))
    assert len(workload.nodes) == 6  # x, the weight, q, k, v, probabilities
    assert workload.params == 48
    assert [layer.macs for layer in workload.layers] == [5 * 4 * 12, 5 * 5 * 4, 5 * 5 * 4]


# the rest


def test_what_is_added_is_a_node_unless_it_is_a_bias() -> None:
    workload = Workload.from_module(Positions(), torch.zeros(1, 5, 4))
    position = workload.find("position")
    assert (position.kind, position.params, position.macs, position.shape) == ("weight", 20, 0, (1, 5, 4))
    assert [node.kind for node in workload.nodes] == ["activation", "weight", "activation", "weight"]
    with pytest.raises(KeyError):
        workload.find("bias")


class ManyParts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(10, 3)
        self.lstm, self.gru = nn.LSTM(3, 5, batch_first=True), nn.GRU(5, 4, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, tokens: Tensor) -> Any:
        return self.head(self.gru(self.lstm(self.embed(tokens))[0])[0])


def test_all_that_cannot_be_quantized_is_said_in_one_warning() -> None:
    with pytest.warns(NemoWarning) as caught:
        workload = Workload.from_module(ManyParts(), torch.zeros(1, 7, dtype=torch.int64))
    assert len(caught) == 1
    assert caught[0].filename == __file__
    lstm, gru = 4 * 5 * (3 + 5), 3 * 4 * (5 + 4)
    frame = workload.to_frame("full_precision")
    assert frame.reset_index().to_numpy().tolist() == [
        ["embed", "embedding", 30, 0],
        ["lstm", "lstm", lstm, 7 * lstm],
        ["gru", "gru", gru, 7 * gru],
    ]
    for part in frame.index:
        assert f"{part} (" in str(caught[0].message)
    assert workload.params == 30 + lstm + gru + 8
    assert workload.macs == 7 * (lstm + gru + 8)


def test_products_of_different_calls_have_different_names() -> None:
    workload = Workload.from_module(Products(), torch.zeros(1, 3, 4))
    names = [layer.name for layer in workload.layers]
    assert len(set(names)) == len(names)


class TransposesBriefly(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Any:
        y = self.linear(x)
        return y @ y.mT


def test_a_tensor_and_its_transpose_are_one_decision() -> None:
    workload = Workload.from_module(TransposesBriefly(), torch.zeros(1, 3, 4))
    assert len(workload.nodes) == 3  # x, the weight, y
    assert workload.layers[1].operands == (2, 2)


# torchvision


def vision(name: str) -> nn.Module:
    models = pytest.importorskip("torchvision.models", exc_type=(ImportError, RuntimeError))  # type: ignore[arg-type]
    net: nn.Module = models.get_model(name, weights=None).eval()
    return net


def test_a_vision_transformer() -> None:
    net, image = vision("vit_b_16"), torch.zeros(1, 3, 224, 224)
    workload = Workload.from_module(net, image, activations="all")
    block = 197 * 768 * (2304 + 768 + 2 * 3072) + 2 * 197 * 197 * 768
    assert workload.macs == 196 * 768 * 768 + 12 * block + 768 * 1000
    assert workload.macs == counted_macs(net, image)
    assert workload.full_precision == ()
    kinds = Counter(node.kind for node in workload.nodes)
    # the stem, the positions, the head; in each block in_proj, out_proj and two linear layers
    assert kinds["weight"] == 3 + 12 * 4
    # a block: 2 norms, q, k, v, probabilities, context, GELU, 2 addends, 2 sums (the very last is not);
    # the image, the tokens that positions are added to, their sum, and what the head reads
    assert kinds["activation"] == 12 * 12 - 1 + 4


def test_an_efficientnet() -> None:
    net, image = vision("efficientnet_b0"), torch.zeros(1, 3, 224, 224)
    workload = Workload.from_module(net, image)
    assert workload.macs == counted_macs(net, image) == 385_814_752
    found = Counter(node.op for node in workload.nodes if node.kind == "activation")
    assert found == {
        "input": 1,
        "silu": 1 + 15 + 16 + 16 + 1,  # the stem, expansions, depthwise, squeezes, the last convolution
        "pool": 16 + 1,  # of squeeze and excitation, and before the head
        "mul": 16,
        "batch norm": 16,
        "add": 9,
    }
    assert Counter(n.op for n in workload.nodes if n.kind == "weight") == {
        "conv": 1 + 15 + 2 * 16 + 16 + 1,
        "depthwise conv": 16,
        "linear": 1,
    }
