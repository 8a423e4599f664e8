"""Tracing modules of one's own: hand-worked graphs, sharing, aliases, and errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nemo_lab import NemoError, Workload
from nemo_lab.errors import TraceError, UnknownNameError


class Residual(nn.Module):
    """Convolution, residual convolution, addition, linear: small enough to draw by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 2, 3, padding=1)
        self.second = nn.Conv2d(2, 2, 3, padding=1)
        self.linear = nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        x = x + self.second(x)
        out: Tensor = self.linear(x.mean((2, 3)))
        return out


class Twice(nn.Module):
    """One convolution called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.linear = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(self.conv(self.conv(x)).mean((2, 3)))
        return out


class Branching(nn.Module):
    """Data-dependent control flow, which torch.fx cannot trace."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(x) if x.sum() > 0 else x
        return out


class Offset(nn.Module):
    """Adds a parameter, such as a positional embedding, to its input."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.ones(*shape))
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x + self.offset).mean((2, 3))
        return out


@pytest.fixture
def residual() -> Workload:
    return Workload.from_module(Residual(), torch.zeros(2, 1, 4, 4))


def test_residual_nodes_by_hand(residual: Workload) -> None:
    assert residual.names == (
        "first.input",
        "first.weight",
        "second.input",
        "second.weight",
        "second.output",
        "linear.input",
        "linear.weight",
    )
    assert [node.shape for node in residual.nodes] == [
        (1, 4, 4), (2, 1, 3, 3), (2, 4, 4), (2, 2, 3, 3), (2, 4, 4), (2, 4, 4), (3, 2),
    ]  # fmt: skip
    assert [node.params for node in residual.nodes] == [0, 18, 0, 36, 0, 0, 6]


def test_residual_costs_by_hand(residual: Workload) -> None:
    layers = [(x.name, x.op, x.operands, x.macs) for x in residual.layers]
    assert layers == [
        ("first", "conv", (1, 0), 2 * 16 * 1 * 9),
        ("second", "conv", (3, 2), 2 * 16 * 2 * 9),
        ("linear", "linear", (6, 5), 3 * 2),
    ]


def test_topology_has_the_residual_edge(residual: Workload) -> None:
    edges = {tuple(edge) for edge in residual.topology.T.tolist()}
    # input -> first -> its output -> second -> its output -> sum -> linear, and the branch 2 -> 5
    assert edges == {(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (2, 5), (5, 6)}
    assert residual.edges.T.tolist() == [[i, i + 1] for i in range(6)]


def test_a_module_called_twice_shares_one_weight_and_counts_each_call() -> None:
    workload = Workload.from_module(Twice(), torch.zeros(1, 3, 8, 8))
    weights = [node for node in workload.nodes if node.kind == "weight"]
    assert [node.name for node in weights] == ["conv.weight", "linear.weight"]
    once = 3 * 64 * 3 * 9
    assert weights[0].macs == 2 * once
    assert workload.macs == 2 * once + 6
    assert workload.params == 81 + 6
    calls = [layer for layer in workload.layers if layer.name == "conv"]
    assert [layer.macs for layer in calls] == [once, once]
    assert {layer.operands[0] for layer in calls} == {weights[0].index}
    assert len({layer.operands[1] for layer in calls}) == 2


def test_a_module_called_twice_leaves_every_node_a_name_of_its_own() -> None:
    workload = Workload.from_module(Twice(), torch.zeros(1, 3, 8, 8))
    assert len(set(workload.names)) == len(workload.nodes)
    assert all(workload.find(name).name == name for name in workload.names)
    assert [workload.find(name).index for name in workload.names] == list(range(len(workload.nodes)))


@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (8,)])
def test_an_added_parameter_can_be_traced(shape: tuple[int, ...]) -> None:
    workload = Workload.from_module(Offset(*shape), torch.zeros(1, 3, 8, 8))
    assert "conv.weight" in workload.names


def test_names_and_aliases_find_the_node(residual: Workload) -> None:
    assert residual.find("second.input") is residual.nodes[2]
    assert residual.find("first.output") is residual.nodes[2]
    with pytest.raises(UnknownNameError, match=r"did you mean 'second\.input'"):
        residual.find("secnd.input")


def test_tracing_leaves_the_module_as_it_was() -> None:
    module = Residual()
    module.second.eval()
    flags = {name: m.training for name, m in module.named_modules()}
    before = {name: (p.data_ptr(), p.detach().clone()) for name, p in module.named_parameters()}
    workload = Workload.from_module(module, torch.zeros(1, 1, 4, 4))
    assert {name: m.training for name, m in module.named_modules()} == flags
    assert workload.module is module
    for graph_or_module in (module, workload.graph):
        for name, parameter in graph_or_module.named_parameters():
            pointer, value = before[name]
            assert parameter.data_ptr() == pointer, f"{name} was copied"
            assert torch.equal(parameter, value)


def test_flags_are_restored_when_tracing_fails() -> None:
    module = Branching().train()
    with pytest.raises(TraceError, match="control flow that depends on data"):
        Workload.from_module(module, torch.zeros(1, 2))
    assert module.training
    assert module.linear.training


@pytest.mark.parametrize(
    ("module", "example", "message"),
    [
        (nn.ReLU(), torch.zeros(1, 2), "no conv, linear layer or matrix product"),
        (Residual(), torch.zeros(1, 5, 4, 4), "Residual does not run on the example input"),
        (Residual(), np.zeros((1, 1, 4, 4)), "expected a tensor"),
        ("resnet", torch.zeros(1, 2), r"expected a torch\.nn\.Module, got str"),
    ],
)
def test_what_cannot_be_traced_is_explained(module: nn.Module, example: Tensor, message: str) -> None:
    with pytest.raises(NemoError, match=message):
        Workload.from_module(module, example)


def test_features_of_a_constant_column_are_zero(residual: Workload) -> None:
    depthwise = residual.features[:, -2]  # no layer is depthwise here
    assert np.all(depthwise == 0)
    assert residual.features.min() >= 0
    assert residual.features.max() <= 1


def test_a_name_of_ones_own() -> None:
    assert Workload.from_module(Residual(), torch.zeros(1, 1, 4, 4), name="mine").name == "mine"


class Functional(nn.Module):
    """One layer that is traced, and a convolution by function."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.ones(3, 3, 3, 3))
        self.conv = nn.Conv2d(3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(nn.functional.conv2d(x, self.kernel))
        return out


def test_a_function_with_a_weight_of_its_own_is_a_layer() -> None:
    workload = Workload.from_module(Functional(), torch.zeros(1, 3, 8, 8))
    assert workload.names == ("kernel.input", "kernel", "conv.input", "conv.weight")
    assert [(x.name, x.op, x.operands) for x in workload.layers] == [
        ("kernel", "conv", (1, 0)),
        ("conv", "conv", (3, 2)),
    ]
