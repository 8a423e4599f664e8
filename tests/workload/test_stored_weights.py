"""Which stored numbers are a weight, whatever stands between them and the product, and what share a scale."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

from nemo_lab import NemoWarning, QuantizationProblem, Workload
from nemo_lab.cost import CostModel
from nemo_lab.errors import TraceError
from nemo_lab.export import quantized_module

Function = Callable[..., Tensor]


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


class Of(nn.Module):
    """A function of an input and parameters of these shapes, w0, w1 and so on; w0 is called ``weight``."""

    def __init__(self, function: Function, *shapes: tuple[int, ...]) -> None:
        super().__init__()
        self.function = function
        for number, shape in enumerate(shapes):
            weight = torch.randn(shape) * torch.logspace(-2, 1, math.prod(shape)).reshape(shape)
            self.register_parameter(f"w{number}" if number else "weight", nn.Parameter(weight))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *(getattr(self, name) for name in self._parameters))


class Linear(nn.Module):
    """A linear layer of one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(4, 8)), nn.Parameter(torch.randn(4))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


def trace(module: nn.Module, example: Tensor) -> Workload:
    """A workload without a part in full precision; the module is as before."""
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    attributes = {name: dict(vars(part)) for name, part in module.named_modules()}
    with warnings.catch_warnings():
        warnings.simplefilter("error", NemoWarning)
        workload = Workload.from_module(module, example)
    assert before.keys() == module.state_dict().keys()
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    for name, part in module.named_modules():
        assert attributes[name].keys() == vars(part).keys()
        assert attributes[name]["training"] == part.training
    return workload


def rounded(weight: Tensor, bits: int) -> Tensor:
    """By the book."""
    low, high = min(float(weight.min()), 0.0), max(float(weight.max()), 0.0)
    scale = (high - low) / (2**bits - 1) or 1.0
    zero = round(-(2 ** (bits - 1)) - low / scale)
    return (
        torch.clamp((weight / scale).round() + zero, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1) - zero
    ) * scale


def size_of(outputs: Tensor, labels: Tensor) -> Tensor:
    return (outputs - labels).flatten(1).square().mean(1)


def problem_of(
    workload: Workload, shape: tuple[int, ...], **settings: Any
) -> tuple[QuantizationProblem, tuple[Tensor, Tensor]]:
    """How far outputs are from those of the module, and on which inputs."""
    inputs = torch.randn(8, *shape)
    with torch.no_grad():
        data = inputs, workload.module.eval()(inputs)
    return QuantizationProblem(workload, inputs, data, metric=size_of, **settings), data


def check_export(
    problem: QuantizationProblem, bits: np.ndarray, data: tuple[Tensor, Tensor], error: float | None = None
) -> nn.Module:
    """The exported network gives what was measured."""
    network = quantized_module(problem, bits)
    with torch.no_grad():
        found = float(size_of(network(data[0]), data[1]).mean())
    measured = problem.evaluate(bits)[0, 0] if error is None else error
    assert found == pytest.approx(measured, rel=1e-5, abs=1e-9)
    return network


# scales: what is added up has one


def experts(x: Tensor, w: Tensor) -> Tensor:
    return torch.stack([F.linear(x, w[e]) for e in range(3)])


def packed(x: Tensor, w: Tensor) -> Tensor:
    q, k, v = w.chunk(3)
    return F.linear(x, q) * F.linear(x, k) + F.linear(x, v)


def chosen(x: Tensor, w: Tensor) -> Tensor:
    return torch.bmm(x[:, None], w[x[:, :3].argmax(-1)])


def grouped(x: Tensor, w: Tensor) -> Tensor:
    return F.conv_transpose2d(x, w, groups=2)


SCALES: list[tuple[str, Function, tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = [
    ("linear", F.linear, (8,), (5, 8), (5, 1)),
    ("vector", F.linear, (8,), (8,), (1,)),
    ("right", lambda x, w: x @ w, (8,), (8, 5), (1, 5)),
    ("vector on the right", torch.matmul, (8,), (8,), (1,)),
    ("left", lambda x, w: w @ x, (8, 3), (5, 8), (5, 1)),
    ("transposed", lambda x, w: x @ w.t(), (8,), (5, 8), (5, 1)),
    ("addmm", lambda x, w: torch.addmm(torch.zeros(5), x, w), (8,), (8, 5), (1, 5)),
    ("bmm", lambda x, w: torch.bmm(x.transpose(0, 1), w), (3, 8), (3, 8, 5), (3, 1, 5)),
    (
        "bmm on the left",
        lambda x, w: torch.bmm(w, x.permute(1, 2, 0)).permute(2, 0, 1),
        (3, 8),
        (3, 5, 8),
        (3, 5, 1),
    ),
    (
        "baddbmm",
        lambda x, w: torch.baddbmm(torch.zeros(1), x.transpose(0, 1), w),
        (3, 8),
        (3, 8, 5),
        (3, 1, 5),
    ),
    ("four axes", lambda x, w: x @ w, (2, 3, 4, 8), (2, 3, 8, 5), (2, 3, 1, 5)),
    ("for each example", lambda x, w: torch.bmm(x, w.expand(x.shape[0], -1, -1)), (4, 8), (8, 5), (1, 5)),
    ("repeated", lambda x, w: torch.bmm(x, w[None].repeat(x.size(0), 1, 1)), (4, 8), (8, 5), (1, 5)),
    ("cast", lambda x, w: F.linear(x, w.to(x.dtype)), (8,), (5, 8), (5, 1)),
    ("heads", lambda x, w: x @ w.reshape(8, 8).t(), (8,), (2, 4, 8), (2, 4, 1)),
    ("split axis", lambda x, w: F.linear(x, w.reshape(5, 8)), (8,), (5, 2, 4), (5, 1, 1)),
    ("permuted", lambda x, w: torch.einsum("bi,oi->bo", x, w.permute(2, 0, 1).flatten(1)), (6,), (2, 3, 4),
     (1, 1, 4)),
    ("experts", experts, (8,), (3, 5, 8), (3, 5, 1)),
    ("packed", packed, (8,), (12, 8), (12, 1)),
    ("chosen by the data", chosen, (8,), (3, 8, 5), (3, 1, 5)),
    ("einsum", lambda x, w: torch.einsum("bi,io->bo", x, w), (8,), (8, 5), (1, 5)),
    ("einsum, weight first", lambda x, w: torch.einsum("oi, bi -> bo", w, x), (8,), (5, 8), (5, 1)),
    ("einsum, implicit", lambda x, w: torch.einsum("bi,io", x, w), (8,), (8, 5), (1, 5)),
    ("einsum, experts", lambda x, w: torch.einsum("bi,eio->beo", x, w), (8,), (3, 8, 5), (3, 1, 5)),
    ("einsum, dots", lambda x, w: torch.einsum("...i,ehi->...eh", x, w), (4, 8), (3, 5, 8), (3, 5, 1)),
    ("einsum, dots summed", lambda x, w: torch.einsum("bti,...i->bt", x, w), (4, 8), (5, 8), (1, 1)),
    ("einsum, list", lambda x, w: torch.einsum("bi,io->bo", [x, w]), (8,), (8, 5), (1, 5)),
    ("einsum, axes", lambda x, w: torch.einsum(x, [..., 0], w, [0, 1], [..., 1]), (8,), (8, 5), (1, 5)),
    ("conv", F.conv2d, (4, 5, 5), (6, 4, 3, 3), (6, 1, 1, 1)),
    ("grouped conv", lambda x, w: F.conv2d(x, w, groups=2), (4, 5, 5), (6, 2, 3, 3), (6, 1, 1, 1)),
    ("deconv", F.conv_transpose2d, (4, 5, 5), (4, 3, 3, 3), (1, 3, 1, 1)),
    ("grouped deconv", grouped, (4, 5, 5), (4, 3, 3, 3), (2, 3, 1, 1)),
    ("rows and columns", lambda x, w: F.linear(x, w) @ w, (8,), (5, 8), (1, 1)),
    ("all rows, half of them", lambda x, w: F.linear(x, w).sum() + F.linear(x, w[:2]), (8,), (4, 8), (4, 1)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("function", "inputs", "shape", "scales"), [one[1:] for one in SCALES], ids=[one[0] for one in SCALES]
)
def test_every_output_channel_of_every_group_and_expert_has_a_scale(
    function: Function, inputs: tuple[int, ...], shape: tuple[int, ...], scales: tuple[int, ...]
) -> None:
    module = Of(function, shape)
    workload = trace(module, torch.randn(2, *inputs))
    (found,) = (q for node in workload.nodes for q in node.quantizers if q.kind == "weight")
    assert (found.name, found.shape, found.scales) == ("weight", shape, scales)
    assert found.channels == math.prod(scales)
    assert workload.params == math.prod(shape)
    narrow = [2] * len(workload.nodes)
    assert CostModel(workload).evaluate(narrow)[0, 0] == 1 / 16
    counted, plain = (
        CostModel(workload, scales=one).absolute(narrow)[0, 0] for one in ("per_channel", "none")
    )
    activations = len(workload.nodes) - 1
    assert 8e6 * (counted - plain) == pytest.approx((found.channels + activations) * (32 + 2))


@pytest.mark.parametrize("scales", [(2, 3, 1, 1), (4, 1, 1, 1), (1, 1, 3, 1)])
def test_numbers_under_one_scale_are_rounded_over_their_own_range(scales: tuple[int, ...]) -> None:
    function = {2: grouped, 4: lambda x, w: F.conv2d(x, w), 1: lambda x, w: x @ w.flatten(0, 1)[..., 0].t()}
    inputs = {2: (4, 5, 5), 4: (3, 5, 5), 1: (3,)}[scales[0]]
    module = Of(function[scales[0]], (4, 3, 3, 3))
    workload = trace(module, torch.randn(2, *inputs))
    problem, data = problem_of(workload, inputs, per_channel=True)
    bits = np.full(len(workload.nodes), 4)
    found = check_export(problem, bits, data).get_parameter("weight")
    given = {one.name: one for node in workload.nodes for one in node.quantizers}["weight"].scales
    expected = module.weight.detach().clone()
    assert isinstance(expected, Tensor)
    runs = [size // count for size, count in zip(expected.shape, given, strict=True)]
    for place in np.ndindex(*given):
        part = tuple(slice(at * run, (at + 1) * run) for at, run in zip(place, runs, strict=True))
        expected[part] = rounded(expected[part], 4)
    assert torch.allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_modules_with_groups_have_a_scale_for_every_channel() -> None:
    net = nn.Sequential(
        nn.ConvTranspose1d(4, 6, 3, groups=2), nn.Conv1d(6, 6, 3, groups=6), nn.Conv1d(6, 2, 1)
    )
    found = [q.scales for n in trace(net, torch.randn(2, 4, 9)).nodes for q in n.quantizers if q.scales]
    assert found == [(2, 3, 1), (6, 1, 1), (2, 1, 1)]


# weights that are computed


class Standardised(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        w = self.weight
        w = (w - w.mean((1, 2, 3), keepdim=True)) / w.std((1, 2, 3), keepdim=True)
        return F.conv2d(x, w, self.bias)


class LowRank(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(2, 4, bias=False), nn.Linear(8, 2, bias=False)

    def forward(self, w: Tensor) -> Tensor:
        return w + self.up.weight @ self.down.weight


class Scaled:
    """Equalized learning rate, as many write it."""

    def __call__(self, module: Any, inputs: object) -> None:
        module.weight = module.weight_raw * 0.3


def equalized(layer: Any) -> Any:
    layer.weight_raw = nn.Parameter(layer.weight.data)
    del layer.weight
    layer.register_forward_pre_hook(Scaled())
    return layer


def pruned(layer: nn.Module) -> nn.Module:
    for name in ("weight", "weight", "bias"):
        prune.random_unstructured(layer, name, 0.3)
    return layer


def low_rank(layer: nn.Module) -> nn.Module:
    return parametrize.register_parametrization(layer, "weight", LowRank())


NORMS = [
    weight_norm, parametrizations.weight_norm, spectral_norm, parametrizations.spectral_norm,
    parametrizations.orthogonal, pruned, low_rank, equalized,
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("kind", [lambda: nn.Linear(8, 4), Linear], ids=["layer", "own"])
@pytest.mark.parametrize(
    "norm", NORMS, ids=lambda norm: f"{norm.__module__.rpartition('.')[2]}.{norm.__name__}"
)
@pytest.mark.parametrize("trained", [False, True])
def test_what_a_layer_computes_is_held_and_rounded(norm: Any, kind: Any, trained: bool) -> None:
    net = nn.Sequential(norm(kind()), nn.ReLU(), nn.Linear(4, 3))
    if trained:
        net(torch.randn(2, 8)).sum().backward()
    else:
        net.eval()(torch.randn(2, 8))
    workload = trace(net, torch.randn(2, 8))
    assert [node.name for node in workload.nodes if node.kind == "weight"] == ["0.weight", "2.weight"]
    assert (workload.params, workload.macs) == (32 + 12, 32 + 12)
    problem, data = problem_of(workload, (8,))
    assert problem.full_precision_error() == pytest.approx(0, abs=1e-10)
    bits = np.full(4, 3)
    assert problem.evaluate([2] * 4)[0, 1] == 1 / 16
    found = check_export(problem, bits, data)
    assert torch.allclose(found.get_parameter("0.weight"), rounded(net[0].weight.detach(), 3), atol=1e-6)


def test_batch_norms_are_folded_into_a_conv_whose_weight_was_computed() -> None:
    net = nn.Sequential(parametrizations.spectral_norm(nn.Conv2d(3, 4, 3)), nn.BatchNorm2d(4), nn.ReLU())
    net(torch.randn(8, 3, 6, 6))
    problem, _ = problem_of(trace(net, torch.randn(2, 3, 6, 6)), (3, 6, 6))
    assert problem.network().folded
    assert problem.full_precision_error() == pytest.approx(0, abs=1e-10)


def merged(x: Tensor, w3: Tensor, w1: Tensor) -> Tensor:
    return F.conv2d(x, w3 + F.pad(w1, [1, 1, 1, 1]), padding=1)


def three_times(x: Tensor, w: Tensor) -> Tensor:
    for _ in range(3):
        x = torch.tanh(F.linear(x, w * 0.5))
    return x


def padded(x: Tensor, w: Tensor) -> Tensor:
    return torch.bmm(x, (w / w.norm()).expand(x.shape[0], -1, -1))


FUNCTIONS: list[tuple[Any, tuple[int, ...], str, Function]] = [
    (lambda: Of(lambda x, w: F.linear(x, w * 0.5), (4, 8)), (8,), "0.weight", lambda w: w * 0.5),
    (lambda: Of(three_times, (8, 8)), (8,), "0.weight", lambda w: w * 0.5),
    (lambda: Of(padded, (8, 4)), (5, 8), "0.weight", lambda w: w / w.norm()),
    (lambda: Of(lambda x, w, m: F.linear(x, w * (m > 0)), (4, 8), (4, 8)), (8,), "0.weight",
     lambda w, m: w * (m > 0)),
    (lambda: Of(lambda x, w, a, b: F.linear(x, w + a @ b), (4, 8), (4, 2), (2, 8)), (8,), "0.weight",
     lambda w, a, b: w + a @ b),
    (lambda: Of(merged, (4, 3, 3, 3), (4, 3, 1, 1)), (3, 5, 5), "0.weight",
     lambda w3, w1: w3 + F.pad(w1, [1, 1, 1, 1])),
    (lambda: Standardised(3, 4, 3, bias=False), (3, 5, 5), "0.weight",
     lambda w: (w - w.mean((1, 2, 3), keepdim=True)) / w.std((1, 2, 3), keepdim=True)),
]  # fmt: skip


@pytest.mark.parametrize(("make", "inputs", "name", "function"), FUNCTIONS)
def test_what_a_function_of_parameters_gives_is_held_and_rounded(
    make: Any, inputs: tuple[int, ...], name: str, function: Function
) -> None:
    net = nn.Sequential(make(), nn.ReLU())
    workload = trace(net, torch.randn(2, *inputs))
    (weight,) = (node for node in workload.nodes if node.kind == "weight")
    with torch.no_grad():
        expected = function(*net[0].parameters())
    assert (weight.name, weight.params, workload.params) == (name, expected.numel(), expected.numel())
    problem, data = problem_of(workload, inputs)
    assert problem.full_precision_error() == pytest.approx(0, abs=1e-9)
    found = check_export(problem, np.full(len(workload.nodes), 4), data)
    assert torch.allclose(found.get_parameter(name), rounded(expected, 4), rtol=1e-5, atol=1e-7)
    assert [path for path, _ in found.named_parameters()] == [name]


def test_a_parameter_that_is_read_elsewhere_too_is_no_less_a_weight_there() -> None:
    net = nn.Sequential(Of(lambda x, w: F.linear(F.linear(x, w * 0.5), w), (8, 8)))
    weights = [node for node in trace(net, torch.randn(2, 8)).nodes if node.kind == "weight"]
    assert len({node.name for node in weights}) == len(weights) == 2
    assert {"0.weight"} < {node.name for node in weights}


class Latents(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.latents, self.query, self.key = nn.Parameter(torch.randn(5, 8)), nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(self.query(self.latents) @ self.key(x).transpose(-1, -2), -1) @ x


def test_a_layer_is_a_layer_also_if_its_input_is_stored() -> None:
    workload = trace(Latents(), torch.randn(2, 6, 8))
    assert {"query.weight", "latents", "key.weight"} == {n.name for n in workload.nodes if n.kind == "weight"}


def test_computing_draws_and_modifies_nothing() -> None:
    layer = parametrizations.spectral_norm(nn.Linear(8, 4)).train()
    before, state = copy.deepcopy(layer.state_dict()), torch.get_rng_state()
    trace(nn.Sequential(layer), torch.randn(2, 8, generator=torch.Generator()))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], tensor) for name, tensor in layer.state_dict().items())


class Drawn(nn.Module):
    def forward(self, w: Tensor) -> Tensor:
        return w + torch.randn_like(w)


def looks(module: Any, inputs: tuple[Tensor]) -> None:
    module.weight = module.weight_raw * inputs[0].mean()


def test_what_cannot_be_held_names_the_way_out() -> None:
    layer = parametrize.register_parametrization(nn.Linear(8, 4), "weight", Drawn())
    net = nn.Sequential(layer)
    with pytest.raises(TraceError, match=r"layer '0' is not a plain parameter") as caught:
        Workload.from_module(net, torch.randn(2, 8))
    call = "torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight')"
    assert call in str(caught.value)
    eval(call, {"torch": torch, "layer": layer})
    assert trace(net, torch.randn(2, 8)).params == 32

    raw = equalized(nn.Linear(8, 4))
    raw._forward_pre_hooks.clear()
    raw.register_forward_pre_hook(looks)  # type: ignore[arg-type]
    with pytest.raises(TraceError, match="remove the hook"):
        Workload.from_module(nn.Sequential(raw), torch.randn(2, 8))


def test_an_evaluation_knows_a_shared_parameter_by_all_its_names() -> None:
    """What was kept of earlier configurations would show."""

    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.middle, self.head = (
                nn.Parameter(torch.randn(8, 8)), nn.Linear(8, 8), nn.Linear(8, 8)
            )  # fmt: skip
            self.head.weight = self.table

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.middle(x * self.table[0] + 1).relu())

    workload = trace(Shared(), torch.randn(2, 8))
    problem, data = problem_of(workload, (8,))
    rows = np.full((7, len(workload.nodes)), 8)
    rows[:, workload.find("head.weight").index] = np.arange(2, 9)
    found = problem.evaluate(rows)[:, 0]
    for row, error in zip(rows, found, strict=True):
        check_export(problem, row, data, error)


class BroughtBack(nn.Conv2d):
    """As in networks with weight standardisation, brought back to the shape of what it is computed of."""

    def __init__(self, back: str) -> None:
        super().__init__(3, 4, 3)
        self.back = back

    def forward(self, x: Tensor) -> Tensor:
        flat = self.weight.reshape(1, self.out_channels, -1)
        found = nn.functional.batch_norm(flat, None, None, training=True)
        ways = {
            "view": lambda: found.view(4, 3, 3, 3),
            "reshape_as": lambda: found.reshape_as(self.weight),
            "view_as": lambda: found.view_as(self.weight),
            "shape": lambda: found.view(self.weight.shape),
            "size": lambda: found.view(self.weight.size()),
            "type_as": lambda: found.view(4, 3, 3, 3).type_as(self.weight),
        }
        return nn.functional.conv2d(x, ways[self.back](), self.bias)


@pytest.mark.parametrize("back", ["view", "reshape_as", "view_as", "shape", "size", "type_as"])
def test_a_weight_that_is_read_for_its_shape_counts_once(back: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", NemoWarning)
        workload = Workload.from_module(BroughtBack(back).eval(), torch.zeros(2, 3, 8, 8))
    assert workload.params == 4 * 3 * 3 * 3
    assert workload.full_precision == ()


@pytest.mark.parametrize("between", [nn.Identity(), nn.Dropout(), nn.Dropout1d(), nn.AlphaDropout()])
def test_a_weight_behind_a_module_that_does_nothing_counts_once(between: nn.Module) -> None:
    class Relative(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.query = nn.Parameter(torch.randn(6, 8)), nn.Linear(8, 8)
            self.between = between

        def forward(self, x: Tensor) -> Tensor:
            return self.query((x @ self.table.T).softmax(-1) @ self.between(self.table))

    workload = Workload.from_module(Relative().eval(), torch.randn(2, 5, 8))
    weights = [(node.name, node.params) for node in workload.nodes if node.kind == "weight"]
    assert weights == [("table", 48), ("query.weight", 64)]
