"""What a user declares: ``ignore=`` leaves parts in full precision, ``tie=`` joins decisions."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nemo_lab import CostModel, NemoWarning, QuantizationProblem, Workload
from nemo_lab.errors import ArgumentError, NemoError, UnknownNameError
from nemo_lab.quantize.network import QuantizedNetwork


class Residual(nn.Module):
    """Linear 4 -> 4, ReLU, linear 4 -> 4, addition of what ReLU gave, linear 4 -> 3.

    Nodes: a.input, a.weight, b.input, b.weight, b.output (an addend), head.input (the sum), head.weight.
    """

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Any:
        x = self.a(x).relu()
        return self.head(x + self.b(x))


def residual(**options: Any) -> Workload:
    torch.manual_seed(0)
    return Workload.from_module(Residual(), torch.zeros(2, 4), **options)


NAMES = ("a.input", "a.weight", "b.input", "b.weight", "b.output", "head.input", "head.weight")


def operands(workload: Workload) -> dict[str, tuple[str, str]]:
    frame = workload.to_frame("layers")
    return dict(zip(frame.index, zip(frame["left"], frame["right"], strict=True), strict=True))


def test_nothing_is_declared_by_default() -> None:
    workload = residual()
    assert workload.names == NAMES
    assert workload.full_precision == ()
    assert (workload.params, workload.macs) == (16 + 16 + 12, 16 + 16 + 12)


# ignore=


@pytest.mark.parametrize(
    ("ignore", "gone"),
    [
        ("head.weight", {"head.weight"}),
        (["a.input", "b.weight"], {"a.input", "b.weight"}),
        ("head.*", {"head.input", "head.weight"}),  # a whole module
        (("a.*", "h*.weight"), {"a.input", "a.weight", "head.weight"}),
        ("*.weight", {"a.weight", "b.weight", "head.weight"}),
        ("[ab].weight", {"a.weight", "b.weight"}),
        ("relu.output", {"b.input"}),  # an alias
        ((), set()),
    ],
)
def test_ignored_quantizers_are_no_nodes_and_cause_no_warning(ignore: Any, gone: set[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        workload = residual(ignore=ignore)
    assert workload.names == tuple(name for name in NAMES if name not in gone)
    assert [node.index for node in workload.nodes] == list(range(len(workload.nodes)))
    assert (workload.params, workload.macs) == (44, 44)  # ignored or not


def test_an_ignored_module_is_listed_with_its_weights_and_its_products() -> None:
    workload = residual(ignore="head.*")
    frame = workload.to_frame("full_precision")
    assert frame.to_dict("index") == {"head": {"op": "linear", "params": 12, "macs": 12}}
    assert [layer.name for layer in workload.layers] == ["a", "b"]
    assert "12 weights and 12 MACs of them stay in full precision" in workload.summary()


def test_an_ignored_operand_leaves_its_layer_with_the_other() -> None:
    workload = residual(ignore=["head.weight", "b.input"])
    assert [layer.operands for layer in workload.layers] == [(1, 0), (2, None), (None, 4)]
    assert operands(workload) == {
        "a": ("a.weight", "a.input"),
        "b": ("b.weight", "(full precision)"),
        "head": ("(full precision)", "head.input"),
    }
    # the weights are in full precision, the products are not: one of their operands has a width
    assert [(p.name, p.params, p.macs) for p in workload.full_precision] == [("head", 12, 0)]


@pytest.mark.parametrize(("bitops", "alone"), [("max", 32), ("product", 4 * 32)])
def test_ignored_parts_count_with_32_bits(bitops: Any, alone: int) -> None:
    workload = residual(ignore=["head.*", "b.weight"])
    bits = np.full((1, len(workload.nodes)), 4)
    size, work = CostModel(workload, bitops).evaluate(bits)[0]
    assert size == pytest.approx((16 * 4 + 16 * 32 + 12 * 32) / (44 * 32))
    both, full = {"max": (4, 32), "product": (16, 1024)}[bitops]
    assert work == pytest.approx((16 * both + 16 * alone + 12 * full) / (44 * full))


def test_ignored_tensors_are_not_rounded() -> None:
    workload = residual(ignore=["head.*", "b.output"])
    network = QuantizedNetwork(workload)
    network.calibrate([torch.randn(8, 4)])
    network.set_bits([2] * len(workload.nodes))
    assert torch.equal(
        network.graph.get_parameter("head.weight"), workload.module.get_parameter("head.weight")
    )
    assert len(network.graph.get_parameter("a.weight").unique()) <= 4
    assert set(network.activations) == {"a.input", "b.input"}


class WithMemory(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.LSTM(3, 5, batch_first=True), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Any:
        return self.head(self.rnn(x)[0])


def test_ignored_parts_stand_beside_what_cannot_be_quantized() -> None:
    with pytest.warns(NemoWarning, match="1 parts cannot be quantized") as caught:
        workload = Workload.from_module(WithMemory(), torch.zeros(2, 7, 3), ignore="head.weight")
    assert "head" not in str(caught[0].message).partition(";")[0]
    assert [(p.name, p.params) for p in workload.full_precision] == [("head", 10), ("rnn", 4 * 5 * (3 + 5))]


def test_ignoring_everything_is_named_as_the_reason() -> None:
    with pytest.raises(NemoError, match="ignore"):
        residual(ignore="*")


def test_the_name_of_a_module_means_all_of_it() -> None:
    by_module, by_glob = residual(ignore="head"), residual(ignore="head.*")
    assert by_module.names == by_glob.names
    assert by_module.full_precision == by_glob.full_precision


# tie=


def test_tied_weights_are_one_decision() -> None:
    workload = residual(tie=[("b.weight", "a.weight")])
    assert len(workload.nodes) == len(NAMES) - 1
    node = workload.nodes[1]
    assert (node.name, node.kind, node.params, node.macs) == ("a.weight", "weight", 32, 32)
    assert [quantizer.name for quantizer in node.quantizers] == ["a.weight", "b.weight"]
    assert workload.find("a.weight") is workload.find("b.weight") is node
    assert [layer.operands for layer in workload.layers] == [(1, 0), (1, 2), (5, 4)]
    assert (workload.params, workload.macs) == (44, 44)


@pytest.mark.parametrize(
    "tie",
    [
        ["*.weight"],  # one glob is a group
        [["*.weight"]],
        [("[ab].weight", "head.weight")],
        [("a.weight", "b.weight"), ("b.weight", "head.weight")],  # groups that overlap are one
        [("a.weight", "b.weight"), ("head.weight", "a.weight")],
        [("a.weight", "head.weight"), ("b.weight", "b.weight", "a.weight")],
        iter([("a.weight", "b.weight", "head.weight")]),
    ],
)
def test_ways_to_tie_the_three_weights(tie: Any) -> None:
    workload = residual(tie=tie)
    assert workload.names == ("a.input", "a.weight", "b.input", "b.output", "head.input")
    assert [q.name for q in workload.nodes[1].quantizers] == ["a.weight", "b.weight", "head.weight"]
    assert (workload.nodes[1].params, workload.nodes[1].macs) == (44, 44)


def test_three_groups_that_meet_are_one() -> None:
    tie = [("a.weight", "a.input"), ("b.weight", "b.input"), ("b.input", "a.input")]
    workload = residual(tie=tie)
    assert workload.names == ("a.input", "b.output", "head.input", "head.weight")
    assert len(workload.nodes[0].quantizers) == 4


def test_a_weight_tied_with_an_activation_counts_each_product_once() -> None:
    workload = residual(tie=[("a.weight", "a.input"), ("b.weight", "head.input")])
    first, second = workload.find("a.weight"), workload.find("b.weight")
    assert (first.name, first.kind, first.params, first.macs) == ("a.input", "activation", 16, 16)
    assert (second.name, second.kind, second.params, second.macs) == ("b.weight", "weight", 16, 16 + 12)
    assert workload.find("head.input") is second
    assert workload.layers[0].operands == (0, 0)
    bits = np.full((1, len(workload.nodes)), 8)
    bits[0, 0] = 2
    size, work = CostModel(workload, "product").evaluate(bits)[0]
    assert size == pytest.approx((16 * 2 + 28 * 8) / (44 * 32))
    assert work == pytest.approx((16 * 2 * 2 + 28 * 8 * 8) / (44 * 1024))


def test_every_name_and_alias_finds_the_tied_node() -> None:
    untied = residual()
    workload = residual(tie=[("a.weight", "b.output", "head.weight")])
    members = [untied.find(name) for name in ("a.weight", "b.output", "head.weight")]
    for member in members:
        for name in (member.name, *member.aliases):
            assert workload.find(name).name == "a.weight"
    for other in set(NAMES) - {"a.weight", "b.output", "head.weight"}:
        assert workload.find(other).name == other


def test_each_member_has_its_own_range_at_the_shared_width() -> None:
    workload = residual(tie=[("a.weight", "b.weight"), ("a.input", "head.input")])
    with torch.no_grad():
        workload.module.get_parameter("b.weight").mul_(10)
    network = QuantizedNetwork(workload)
    network.calibrate([torch.randn(16, 4)])
    bits = np.full(len(workload.nodes), 8)
    bits[workload.find("a.weight").index] = 2
    network.set_bits(bits)
    small, large = (network.graph.get_parameter(f"{name}.weight") for name in "ab")
    for weight, name in ((small, "a"), (large, "b")):
        full = workload.module.get_parameter(f"{name}.weight").detach()
        assert len(weight.unique()) <= 4
        low, high = min(float(full.min()), 0), max(float(full.max()), 0)
        steps = weight / ((high - low) / 3)  # docs/method.md, section 2, two bits
        torch.testing.assert_close(steps, steps.round(), atol=1e-4, rtol=0)
    assert float(large.detach().abs().max()) > 5 * float(small.detach().abs().max())
    assert {"a.input", "head.input"} <= set(network.ranges)
    assert network.ranges["a.input"].overall != network.ranges["head.input"].overall


def test_ties_and_ignored_parts_go_together() -> None:
    workload = residual(tie=[("a.weight", "b.weight")], ignore=["head.*", "b.input"])
    assert workload.names == ("a.input", "a.weight", "b.output")
    assert [layer.operands for layer in workload.layers] == [(1, 0), (1, None)]


# errors


@pytest.mark.parametrize(
    ("options", "error", "parts"),
    [
        ({"ignore": "a.weigth"}, UnknownNameError, ["'a.weigth'", "did you mean 'a.weight'"]),
        ({"ignore": ["a.weight", "c.*"]}, UnknownNameError, ["no quantizer 'c.*'"]),
        ({"tie": [("a.weight", "c.weight")]}, UnknownNameError, ["'c.weight'", "did you mean"]),
        ({"tie": [("a.weight",)]}, ArgumentError, ["('a.weight',)", "two or more"]),
        ({"tie": [()]}, ArgumentError, ["names 0", "two or more"]),
        ({"tie": ["a.weight"]}, ArgumentError, ["'a.weight'", "two or more"]),
        ({"tie": [("a.weight", "a.weight")]}, ArgumentError, ["names 1", "two or more"]),
        ({"tie": "*.weight"}, ArgumentError, ["is one name", "a list of groups"]),
        ({"tie": [("a.weight", "b.weight")], "ignore": "b.*"}, ArgumentError, ["'b.weight'", "both"]),
        ({"ignore": [1]}, ArgumentError, ["ignore= has 1", "names or globs"]),
        ({"ignore": b"a.weight"}, ArgumentError, ["ignore= has b'a.weight'", "names or globs"]),
        ({"ignore": lambda node: 1 / 0}, ArgumentError, ["a function raised ZeroDivisionError", "a.input"]),
        ({"ignore": lambda node: None}, ArgumentError, ["returned None for node 'a.input'", "True or False"]),
        ({"ignore": lambda node: False}, ArgumentError, ["true for no node"]),
        ({"tie": lambda node: True}, ArgumentError, ["tie=a function is one name", "a list of groups"]),
        ({"tie": b"a.weight"}, ArgumentError, ["tie= has b'a.weight'", "a list of groups"]),
        ({"tie": 3}, ArgumentError, ["tie= has 3", "a list of groups"]),
        ({"tie": [lambda node: node.name == "a.input"]}, ArgumentError, ["a function names 1", "or more"]),
        ({"tie": [("a.weight", None)]}, ArgumentError, ["tie= has None", "names or globs"]),
    ],
)
def test_what_cannot_be_declared_is_explained(
    options: dict[str, Any], error: type[NemoError], parts: list[str]
) -> None:
    with pytest.raises(error) as caught:
        residual(**options)
    for part in parts:
        assert part in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    "options", [{"ignore": 5}, {"ignore": None}, {"tie": 5}, {"tie": [5]}, {"tie": None}]
)
def test_what_is_no_list_is_explained(options: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        residual(**options)


# the whole way


def test_a_problem_with_ties_and_ignored_parts(digits: Workload) -> None:
    """Depthwise weights share one width, and the last layer is left alone: evaluated like any other."""
    depthwise = tuple(node.name for node in digits.nodes if node.depthwise)
    last = digits.nodes[-1].name
    declared = Workload.from_module(
        digits.module,
        torch.zeros(1, *digits.example_shapes[0][1:]),
        tie=[depthwise],
        ignore=last,
    )
    assert len(declared.nodes) == len(digits.nodes) - (len(depthwise) - 1) - 1
    assert (declared.params, declared.macs) == (digits.params, digits.macs)
    assert digits.data is not None
    split = digits.data.search
    problem = QuantizationProblem(
        declared, calibration=digits.data.calibration.inputs, data=(split.inputs, split.labels)
    )
    eight = np.full((2, len(declared.nodes)), 8)
    eight[1, declared.find(depthwise[0]).index] = 2
    good, bad = problem.evaluate(eight)
    assert good[0] < 0.05 < bad[0]
    kept = digits.find(last).params
    tied = sum(digits.find(name).params for name in depthwise)
    assert good[1] == pytest.approx((8 * (digits.params - kept) + 32 * kept) / (32 * digits.params))
    assert bad[1] == pytest.approx(good[1] - 6 * tied / (32 * digits.params))
    low, high = problem.objective_bounds
    assert np.all(low <= good)
    assert np.all(good <= high)
