"""Modules that are awkward to trace: each gives the right graph, or an error that says what to do.

Every test goes through ``untouched``: whatever happens, the module and the example stay as they were.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils.checkpoint import checkpoint

from nemo_lab import NemoError, NemoWarning, Workload
from nemo_lab.errors import TraceError
from nemo_lab.quantize.network import QuantizedNetwork


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@contextmanager
def untouched(module: nn.Module, example: Any) -> Iterator[None]:
    """Nothing about the module, its input or torch's global state may differ afterwards."""

    def state() -> dict[str, Any]:
        return {
            "training": {name: part.training for name, part in module.named_modules()},
            "gradients": {name: (p.requires_grad, p.grad) for name, p in module.named_parameters()},
            "storage": {name: t.data_ptr() for name, t in module.state_dict(keep_vars=True).items()},
            "hooks": {
                name: [dict(part._forward_hooks), dict(part._forward_pre_hooks), dict(part._backward_hooks)]
                for name, part in module.named_modules()
            },
            "attributes": {name: set(vars(part)) for name, part in module.named_modules()},
            "global": (torch.is_grad_enabled(), torch.backends.mha.get_fastpath_enabled()),
            "random": torch.get_rng_state().tolist(),
        }

    before = state()
    values, given = copy.deepcopy((module.state_dict(), example))
    try:
        yield
    finally:
        assert state() == before
        for name, tensor in module.state_dict().items():
            assert torch.equal(tensor, values[name]), f"{name} was changed"
        for now, then in zip(pytree.tree_leaves(example), pytree.tree_leaves(given), strict=True):
            assert torch.equal(now, then) if isinstance(now, Tensor) else now == then


def trace(module: nn.Module, example: Any, **options: Any) -> Workload:
    """A workload that computes what its module computes, and shares its weights."""
    with untouched(module, example):
        workload = Workload.from_module(module, example, **options)
        own = {parameter.data_ptr() for parameter in module.parameters()}
        assert all(p.data_ptr() in own for p in workload.graph.parameters()), "a weight was copied"
    return workload


def error_of(module: nn.Module, example: Any) -> str:
    with untouched(module, example), pytest.raises(TraceError) as caught:
        Workload.from_module(module, example)
    assert caught.value.hint
    return str(caught.value)


def layers_of(workload: Workload) -> list[tuple[str, str, str, int]]:
    """Name, the two operands, and MACs of each layer."""
    frame = workload.to_frame("layers")
    return list(zip(frame.index, frame["left"], frame["right"], frame["macs"], strict=True))


def two(*between: nn.Module) -> nn.Sequential:
    """Linear 4 -> 4, whatever is given, linear 4 -> 2."""
    return nn.Sequential(nn.Linear(4, 4), *between, nn.Linear(4, 2))


class Wrapped(nn.Module):
    """Linear 4 -> 4 behind a forward that subclasses write."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)


# control flow and shapes that depend on data


class Flow(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(x)
        if x.sum() > 0:
            return x
        return -x


class HasFlow(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 4)
        self.flow = Flow()

    def forward(self, x: Tensor) -> Any:
        return self.flow(self.head(x))


def test_a_branch_on_data_names_the_module_the_line_and_the_way_out() -> None:
    text = error_of(HasFlow(), torch.ones(2, 4))
    for part in ("HasFlow", "'flow' (Flow)", "test_awkward.py, in forward: if x.sum() > 0:", "torch.where"):
        assert part in text
    assert "\n" not in text


def test_a_failed_trace_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    error_of(Flow(), torch.ones(2, 4))
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


class Cut(Wrapped):
    def forward(self, x: Tensor) -> Any:
        size = int(x.sum().item())
        return self.linear(x[:size])


class ThroughNumpy(Wrapped):
    def forward(self, x: Tensor) -> Any:
        return self.linear(torch.from_numpy(2 * x.numpy()))


@pytest.mark.parametrize(
    ("module", "line"),
    [(Cut, "size = int(x.sum().item())"), (ThroughNumpy, "torch.from_numpy(2 * x.numpy())")],
)
def test_leaving_torch_names_the_line(module: type[nn.Module], line: str) -> None:
    text = error_of(module(), torch.full((3, 4), 0.25))
    assert module.__name__ in text
    assert line in text


class Selected(Wrapped):
    def forward(self, x: Tensor) -> Any:
        return self.linear(x[x.sum(1) > 0])


class Indexed(Wrapped):
    def forward(self, x: Tensor) -> Any:
        return self.linear(x[torch.nonzero(x.sum(1) > 0).flatten()])


@pytest.mark.parametrize("module", [Selected, Indexed])
def test_a_shape_that_depends_on_data_is_traced(module: type[nn.Module]) -> None:
    net = module()
    workload = trace(net, torch.ones(3, 4))
    assert layers_of(workload) == [("linear", "linear.weight", "linear.input", 16)]
    other = torch.stack([torch.ones(4), -torch.ones(4)])
    assert workload.graph(other).shape == (1, 4)
    torch.testing.assert_close(workload.graph(other), net(other))


# in place


class InPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(1, 2, 3, padding=1)
        self.b = nn.Conv2d(2, 2, 3, padding=1)
        self.c = nn.Conv2d(2, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x.add_(1)).relu_()
        y = F.relu(self.b(x), inplace=True)
        x += y
        z: Tensor = self.c(x)
        z.add_(x)
        return z.mean((2, 3))


def test_operations_in_place_are_the_same_graph_as_others() -> None:
    net = InPlace()
    workload = trace(net, torch.randn(2, 1, 4, 4))
    assert layers_of(workload) == [
        ("a", "a.weight", "a.input", 2 * 16 * 9),
        ("b", "b.weight", "b.input", 2 * 16 * 2 * 9),
        ("c", "c.weight", "c.input", 2 * 16 * 2),
    ]
    # a.input -> a.weight -> relu (2) -> b.weight -> relu (4); 2 + 4 -> sum (5) -> c.weight -> c.output (7)
    assert len(workload.nodes) == 8
    edges = {tuple(edge) for edge in workload.topology.T.tolist()}
    assert edges == {(0, 1), (1, 2), (2, 3), (3, 4), (2, 5), (4, 5), (5, 6), (6, 7)}
    network = QuantizedNetwork(workload)
    network.set_bits(None)
    inputs = torch.randn(3, 1, 4, 4)
    given = inputs.clone()
    with torch.no_grad():
        torch.testing.assert_close(network(inputs), net(given.clone()))
    assert torch.equal(inputs, given)


class AddsToItsInput(Wrapped):
    def forward(self, x: Tensor) -> Any:
        x.add_(1)
        return self.linear(x)


def test_a_network_that_writes_into_its_input_leaves_the_data_alone() -> None:
    network = QuantizedNetwork(trace(AddsToItsInput(), torch.randn(2, 4)))
    network.set_bits(None)
    inputs = torch.zeros(3, 4)
    network(inputs)
    assert torch.equal(inputs, torch.zeros(3, 4))


def test_what_a_layer_reads_is_rounded_after_it_was_written_in_place() -> None:
    workload = trace(AddsToItsInput(), torch.randn(2, 4))
    network = QuantizedNetwork(workload)
    network.calibrate([torch.linspace(-1, 1, 8).reshape(2, 4)])  # the layer reads 0 to 2
    assert network.ranges["linear.input"].overall == pytest.approx((0, 2))


# sharing


class FiveTimes(Wrapped):
    def forward(self, x: Tensor) -> Tensor:
        for _ in range(5):
            x = torch.tanh(self.linear(x))
        return x


def test_a_module_used_five_times_has_one_weight_and_five_layers() -> None:
    workload = trace(FiveTimes(), torch.randn(2, 4))
    assert [node.kind for node in workload.nodes].count("weight") == 1
    assert len(workload.nodes) == 6
    assert workload.find("linear.weight").macs == 5 * 16
    assert (workload.params, workload.macs) == (16, 5 * 16)
    assert [layer.name for layer in workload.layers] == ["linear"] * 5
    assert len({layer.operands[1] for layer in workload.layers}) == 5


class LanguageModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(10, 4)
        self.mid = nn.Linear(4, 4)
        self.head = nn.Linear(4, 10, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Any:
        return self.head(self.mid(self.embed(tokens)))


def test_an_embedding_tied_to_the_head_is_stored_and_counted_once() -> None:
    workload = trace(LanguageModel(), torch.tensor([[1, 2, 3]]))
    assert workload.find("embed.weight") is workload.find("head.weight")
    assert workload.full_precision == ()
    assert (workload.params, workload.macs) == (16 + 40, 3 * 16 + 3 * 40)
    network = QuantizedNetwork(workload)
    network.calibrate([torch.arange(9).reshape(3, 3)])
    network.set_bits([2] * len(workload.nodes))
    assert len(network.graph.get_parameter("embed.weight").unique()) <= 4


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
        self.b.weight = self.a.weight

    def forward(self, x: Tensor) -> Any:
        return self.b(self.a(x).relu())


def test_two_layers_with_one_parameter_are_one_decision() -> None:
    workload = trace(Tied(), torch.randn(2, 4))
    assert workload.names == ("a.input", "a.weight", "b.input")
    assert workload.find("b.weight") is workload.nodes[1]
    assert (workload.nodes[1].params, workload.nodes[1].macs) == (16, 32)
    assert layers_of(workload) == [("a", "a.weight", "a.input", 16), ("b", "a.weight", "b.input", 16)]


# what goes in and out


class InDictionary(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> dict[str, Any]:
        hidden = self.a(x)
        return {"logits": self.b(hidden), "hidden": (hidden,)}


def test_a_dictionary_comes_out_as_it_is() -> None:
    net = InDictionary()
    workload = trace(net, torch.randn(2, 4))
    assert workload.names == ("a.input", "a.weight", "b.input", "b.weight")
    x = torch.randn(5, 4)
    found, wanted = workload.graph(x), net(x)
    assert found.keys() == {"logits", "hidden"}
    torch.testing.assert_close(found["logits"], wanted["logits"])
    torch.testing.assert_close(found["hidden"][0], wanted["hidden"][0])


class Keywords(Wrapped):
    def forward(self, *, x: Tensor, y: Tensor | None = None) -> Any:
        out = self.linear(x)
        if y is not None:
            out = out + self.linear(y)
        return out


def test_keyword_only_arguments_are_given_as_a_dictionary() -> None:
    alone = trace(Keywords(), {"x": torch.randn(2, 4)})
    assert layers_of(alone) == [("linear", "linear.weight", "linear.input", 16)]
    both = trace(Keywords(), {"y": torch.randn(2, 4), "x": torch.randn(2, 4)})
    assert both.macs == 2 * 16
    assert len(both.nodes) == 5  # x, y, the weight, and both addends
    assert both.example_shapes == ((2, 4), (2, 4))


def test_a_tensor_where_keywords_are_required_says_how_to_give_them() -> None:
    text = error_of(Keywords(), torch.randn(2, 4))
    assert "Keywords does not run on the example input" in text
    assert "a dictionary of the keyword arguments" in text


class Optional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor, mask: Tensor | None = None, values: bool = False) -> Any:
        scores = self.q(x) @ self.k(x).transpose(1, 2)
        if mask is not None:
            scores = scores + mask
        weights = scores.softmax(-1)
        return weights @ self.v(x) if values else weights


@pytest.mark.parametrize(
    ("example", "products"),
    [
        (torch.randn(2, 3, 4), 3),
        ((torch.randn(2, 3, 4), torch.randn(2, 3, 3)), 3),
        ((torch.randn(2, 3, 4), None, True), 5),
        ({"x": torch.randn(2, 3, 4), "values": True, "mask": torch.randn(2, 3, 3)}, 5),
    ],
)
def test_optional_arguments_take_the_branch_of_the_example(example: Any, products: int) -> None:
    net = Optional()
    workload = trace(net, example)
    macs = [3 * 4 * 4, 3 * 4 * 4, 3 * 3 * 4, 3 * 4 * 4, 3 * 3 * 4][:products]
    assert [layer.macs for layer in workload.layers] == macs
    # x, two weights, both factors; with values: weight, and both factors of the second product
    assert len(workload.nodes) == {3: 5, 5: 8}[products]  # a mask is not quantized
    args, kwargs = ((), example) if isinstance(example, dict) else (example, {})
    args = args if isinstance(args, tuple) else (args,)
    torch.testing.assert_close(workload.graph(*args, **kwargs), net(*args, **kwargs))


def test_a_mask_without_a_batch_axis_leaves_macs_for_one_example() -> None:
    workload = trace(Optional(), (torch.randn(2, 3, 4), torch.randn(3, 3)))
    assert [layer.macs for layer in workload.layers] == [3 * 4 * 4, 3 * 4 * 4, 3 * 3 * 4]
    assert workload.nodes[0].shape == (3, 4)


class Variadic(Wrapped):
    def forward(self, *inputs: Tensor, **options: Tensor) -> Any:
        out = self.linear(inputs[0])
        for x in inputs[1:]:
            out = out + self.linear(x)
        if "gain" in options:
            out = out * options["gain"]
        return out


def test_any_number_of_arguments() -> None:
    workload = trace(Variadic(), (torch.randn(2, 4), torch.randn(2, 4), torch.randn(2, 4)))
    assert [layer.macs for layer in workload.layers] == [16, 16, 16]
    assert trace(Variadic(), torch.randn(2, 4)).macs == 16


class SeveralInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 3), nn.Linear(5, 3)

    def forward(self, x: Tensor, y: Tensor) -> Any:
        return self.a(x) + self.b(y)


def test_several_inputs_are_one_node_each() -> None:
    workload = trace(SeveralInputs(), (torch.randn(2, 4), torch.randn(2, 5)))
    assert workload.names == ("a.input", "b.input", "a.weight", "a.output", "b.weight", "b.output")
    assert [layer.macs for layer in workload.layers] == [12, 15]
    assert {tuple(e) for e in workload.topology.T.tolist()} == {(0, 2), (2, 3), (1, 4), (4, 5)}


class TakesList(Wrapped):
    def forward(self, xs: list[Tensor]) -> Any:
        return self.linear(xs[0]) + self.linear(xs[1])


def test_a_list_of_tensors_is_one_argument() -> None:
    workload = trace(TakesList(), ([torch.randn(2, 4), torch.randn(2, 4)],))
    assert [layer.macs for layer in workload.layers] == [16, 16]


class LooksAtType(nn.Module):
    """What torch.fx passes while tracing is no Tensor, so it takes the wrong branch, silently."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        if isinstance(x, Tensor):
            return self.b(self.a(x))
        return self.a(x)


def test_a_branch_on_the_type_of_a_tensor_is_the_right_one() -> None:
    workload = trace(LooksAtType(), torch.randn(2, 4))
    assert layers_of(workload) == [("a", "a.weight", "a.input", 16), ("b", "b.weight", "b.input", 16)]


class LooksAtShape(Wrapped):
    def forward(self, x: Tensor) -> Any:
        if x.shape[-1] == 4:
            x = 2 * x
        return self.linear(x)


def test_a_branch_on_the_shape_is_the_right_one() -> None:
    net = LooksAtShape()
    x = torch.randn(2, 4)
    torch.testing.assert_close(trace(net, x).graph(x), net(x))


# nothing to quantize, odd types


class PureFunctions(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (2 * x).softmax(-1)


class PureProduct(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x @ x.mT


@pytest.mark.parametrize("module", [nn.ReLU(), PureFunctions()])
def test_nothing_to_multiply_is_said(module: nn.Module) -> None:
    text = error_of(module, torch.randn(2, 4))
    assert f"{type(module).__name__} has no conv, linear layer or matrix product" in text


def test_a_product_needs_no_parameters() -> None:
    workload = trace(PureProduct(), torch.randn(2, 3, 4))
    assert layers_of(workload) == [
        ("matmul", "matmul.input", "matmul.input", 3 * 3 * 4)
    ]  # mT is no tensor of its own
    assert workload.params == 0


def test_complex_weights_are_named_as_the_reason() -> None:
    text = error_of(nn.Sequential(nn.Linear(4, 4, dtype=torch.complex64)), torch.randn(2, 4).cfloat())
    assert "complex" in text


class PartlyComplex(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 2)
        self.c = nn.Linear(4, 4, dtype=torch.complex64)

    def forward(self, x: Tensor) -> Any:
        return self.b(self.c(self.a(x).to(torch.complex64)).abs())


def test_a_complex_layer_among_real_ones_stays_as_it_is() -> None:
    with pytest.warns(NemoWarning, match=r"c \(complex linear: 16 weights, 16 MACs\)") as caught:
        workload = trace(PartlyComplex(), torch.randn(2, 4))
    assert len(caught) == 1
    assert layers_of(workload) == [("a", "a.weight", "a.input", 16), ("b", "b.weight", "b.input", 8)]
    assert [(p.name, p.params, p.macs) for p in workload.full_precision] == [("c", 16, 16)]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_have_the_same_graph(dtype: torch.dtype) -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 3, 1)).to(dtype)
    workload = trace(net, torch.randn(2, 1, 4, 4).to(dtype))
    assert layers_of(workload) == [("0", "0.weight", "0.input", 2 * 4 * 9), ("3", "3.weight", "3.input", 24)]
    network = QuantizedNetwork(workload)
    network.set_bits(None)
    assert network(torch.randn(5, 1, 4, 4)).dtype == torch.float32


def test_an_example_of_another_precision_is_refused() -> None:
    assert "Half" in error_of(nn.Sequential(nn.Conv2d(1, 2, 3)).half(), torch.randn(2, 1, 4, 4))


# machinery around modules


class Checkpointed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Any:
        return self.b(checkpoint(lambda y: self.a(y).relu(), x, use_reentrant=False))


def test_checkpointing_is_looked_through() -> None:
    workload = trace(Checkpointed(), torch.randn(2, 4))
    assert layers_of(workload) == [("a", "a.weight", "a.input", 16), ("b", "b.weight", "b.input", 8)]


def test_a_lazy_module_is_traced_as_the_example_makes_it() -> None:
    net = nn.Sequential(nn.LazyConv2d(2, 3), nn.Flatten(), nn.LazyLinear(3))
    with pytest.warns(NemoWarning, match="lazy modules had no weights yet, and drew some: 0, 2; train"):
        workload = Workload.from_module(net, torch.randn(2, 1, 4, 4))  # which running it changes for good
    assert layers_of(workload) == [("0", "0.weight", "0.input", 72), ("2", "2.weight", "2.input", 24)]
    assert trace(net, torch.randn(2, 1, 4, 4)).names == workload.names


def test_a_frozen_module_stays_frozen() -> None:
    net = two(nn.ReLU()).requires_grad_(False)
    net[2].weight.requires_grad_(True)
    assert trace(net, torch.randn(2, 4)).macs == 24
    assert [p.requires_grad for p in net.parameters()] == [False, False, True, False]


class DropsOut(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.drop = nn.Linear(4, 4), nn.Linear(4, 2), nn.Dropout()

    def forward(self, x: Tensor) -> Any:
        return self.b(self.drop(F.dropout(self.a(x), 0.5, self.training)))


def test_training_mode_is_traced_as_evaluation_and_restored() -> None:
    net = DropsOut().train()
    net.b.eval()
    workload = trace(net, torch.randn(2, 4))
    assert workload.names == ("a.input", "a.weight", "b.input", "b.weight")
    assert (net.training, net.drop.training, net.b.training) == (True, True, False)
    x = torch.randn(3, 4)
    net.eval()
    torch.testing.assert_close(workload.graph(x), net(x))


def test_hooks_that_look_on_stay_and_are_called() -> None:
    net, seen = two(), []
    net[0].register_forward_hook(lambda module, args, out: seen.append(tuple(out.shape)))
    net.register_forward_pre_hook(lambda module, args: None)
    assert trace(net, torch.randn(2, 4)).macs == 24
    assert set(seen) == {(2, 4)}


@pytest.mark.parametrize("place", ["", "0"])
def test_hooks_that_change_what_flows_are_part_of_the_graph(place: str) -> None:
    net = two()
    net.get_submodule(place).register_forward_hook(lambda module, args, out: 2 * out)
    workload = trace(net, torch.randn(2, 4))
    x = torch.randn(3, 4)
    torch.testing.assert_close(workload.graph(x), net(x))


def test_a_hook_between_conv_and_batch_norm_is_not_folded_over() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1)).eval()
    net[1].running_mean = torch.tensor([1.0, -2.0])
    net[0].register_forward_hook(lambda module, args, out: out.square())
    network = QuantizedNetwork(trace(net, torch.randn(2, 1, 4, 4)))
    network.set_bits(None)
    x = torch.randn(3, 1, 4, 4)
    with torch.no_grad():
        torch.testing.assert_close(network(x), net(x), rtol=1e-4, atol=1e-4)


class PassesOn(nn.Module):
    """Like ``nn.DataParallel`` on a machine without GPUs."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)


@pytest.mark.parametrize("wrapper", [PassesOn, nn.DataParallel])
def test_a_wrapper_is_looked_through(wrapper: Any) -> None:
    workload = trace(wrapper(two(nn.ReLU())), torch.randn(2, 4))
    assert layers_of(workload) == [
        ("module.0", "module.0.weight", "module.0.input", 16),
        ("module.2", "module.2.weight", "module.2.input", 8),
    ]


class Clip(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clamp(-0.1, 0.1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return gradient


class Clips(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Any:
        return self.b(Clip.apply(self.a(x)))


def test_an_autograd_function_of_ones_own_is_traced() -> None:
    net = Clips()
    workload = trace(net, torch.randn(2, 4))
    assert workload.names == ("a.input", "a.weight", "b.input", "b.weight")
    x = torch.randn(3, 4)
    torch.testing.assert_close(workload.graph(x), net(x))


class Counts(Wrapped):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Any:
        self.calls += 1
        return self.linear(x)


class Tracks(Wrapped):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, x: Tensor) -> Any:
        self.mean.mul_(0.9).add_(0.1 * x.mean(0))
        return self.linear(x - self.mean)


@pytest.mark.parametrize("module", [Counts, Tracks])
def test_buffers_that_the_forward_writes_are_as_before(module: type[nn.Module]) -> None:
    workload = trace(module(), torch.randn(2, 4))
    assert layers_of(workload) == [("linear", "linear.weight", "linear.input", 16)]


def scripted() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        return torch.jit.script(two())


def test_a_scripted_module_is_refused() -> None:
    assert "ScriptModule" in error_of(scripted(), torch.randn(2, 4))


def test_a_scripted_module_names_the_way_out() -> None:
    with pytest.raises(TraceError) as caught:
        Workload.from_module(scripted(), torch.randn(2, 4))
    assert "script" in caught.value.hint


def test_a_scripted_part_counts_in_full_precision() -> None:
    with pytest.warns(NemoWarning):
        workload = Workload.from_module(nn.Sequential(scripted(), nn.Linear(2, 2)), torch.randn(2, 4))
    assert (workload.params, workload.macs) == (16 + 8 + 4, 16 + 8 + 4)


class Prints(Wrapped):
    def forward(self, x: Tensor) -> Any:
        print("shape", x.shape, x.mean())  # noqa: T201
        return self.linear(x)


def test_a_module_that_prints_is_traced() -> None:
    assert trace(Prints(), torch.randn(2, 4)).macs == 16


@pytest.mark.parametrize(
    ("example", "part"),
    [
        (4, "expected a tensor as example_input, got int"),
        ("image.png", "expected a tensor as example_input, got str"),
        ((), "expected a tensor as example_input, got tuple"),
        pytest.param(
            {1: torch.zeros(2, 4)},
            "keys that are not text",
        ),
        ({"image": torch.zeros(2, 4)}, "unexpected keyword argument"),
        (torch.zeros(2, 5), "Sequential does not run on the example input"),
    ],
)
def test_an_example_that_does_not_fit_is_explained(example: Any, part: str) -> None:
    with pytest.raises(NemoError) as caught:
        Workload.from_module(two(), example)
    assert part in str(caught.value)
    assert caught.value.hint
