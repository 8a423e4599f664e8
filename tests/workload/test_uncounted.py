"""Operations that nobody knows: their MACs are unknown, not none; their weights count."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nemo_lab import NemoWarning, QuantizationProblem, Workload
from nemo_lab.cost.model import CostModel


@torch.library.custom_op("nemo_tests::linear", mutates_args=())
def linear(x: Tensor, weight: Tensor) -> Tensor:
    """A product that nobody else knows."""
    return x @ weight.t()


@torch.library.custom_op("nemo_tests::twice", mutates_args=())
def twice(x: Tensor, scale: Tensor) -> Tensor:
    """No product of matrices."""
    return 2 * x * scale


@linear.register_fake
def _(x: Tensor, weight: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], weight.shape[0])


@twice.register_fake
def _(x: Tensor, scale: Tensor) -> Tensor:
    return torch.empty_like(x)


class Calls(nn.Module):
    """Calls a function with itself and its input between two layers; torch.fx cannot trace it if it looks."""

    def __init__(self, function: Callable[[Any, Tensor], Tensor], looks: bool) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 3)
        self.matrix, self.vector = nn.Parameter(torch.randn(4, 4)), nn.Parameter(torch.randn(4))
        self.cube = nn.Parameter(torch.randn(4, 4, 4))
        self.function, self.looks = function, looks

    def forward(self, x: Tensor) -> Any:
        if self.looks and x.shape[1] != 4:
            raise ValueError("four features, please")
        return self.last(self.function(self, self.first(x)))


UNKNOWN: dict[str, tuple[Callable[[Any, Tensor], Tensor], int]] = {
    "custom operator": (lambda net, x: torch.ops.nemo_tests.linear(x, net.matrix), 16),
    "bilinear": (lambda net, x: F.bilinear(x, x, net.cube), 64),
    "fft": (lambda net, x: torch.fft.fft(x).real, 0),
    "cdist": (lambda net, x: torch.cdist(x, net.matrix), 16),
    "inverse": (lambda net, x: x * torch.linalg.inv(net.matrix).sum(), 16),
}
NONE: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "custom operator without weights": lambda net, x: torch.ops.nemo_tests.twice(x, net.vector),
    "norm": lambda net, x: F.layer_norm(x, (4,), net.vector),
    "indexing": lambda net, x: x[:, [3, 2, 1, 0]].flip(1),
    "pooling": lambda net, x: F.avg_pool1d(x[:, None], 3, 1, 1)[:, 0],
    "interpolation": lambda net, x: F.interpolate(x[:, None], size=4, mode="linear")[:, 0],
    "sorting": lambda net, x: x.sort(1).values.cumsum(1).softmax(1),
}
PATHS = pytest.mark.parametrize("looks", [False, True], ids=["torch.fx", "torch.export"])


@PATHS
@pytest.mark.parametrize("name", UNKNOWN)
def test_products_that_no_formula_counts_are_unknown(name: str, looks: bool) -> None:
    function, params = UNKNOWN[name]
    with pytest.warns(NemoWarning, match="MACs unknown"):
        workload = Workload.from_module(Calls(function, looks), torch.randn(2, 4))
    (part,) = workload.full_precision
    assert (part.params, part.macs) == (params, None)
    assert (workload.params, workload.macs) == (16 + 12 + params, 16 + 12)
    assert "the MACs of 1 more parts are unknown" in workload.summary()
    assert workload.to_frame("full_precision")["macs"].isna().tolist() == [True]
    x = torch.randn(32, 4)
    problem = QuantizationProblem(workload, calibration=x, data=(x, x[:, :3].argmax(1)))
    _, size, work = problem.evaluate([8] * len(workload.nodes))[0]
    assert size == pytest.approx((8 * 28 + 32 * params) / (32 * (28 + params)))
    assert work == pytest.approx(1 / 4)  # of what is known


@PATHS
@pytest.mark.parametrize("name", NONE)
def test_what_multiplies_no_matrices_is_not_unknown(name: str, looks: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", NemoWarning)
        workload = Workload.from_module(Calls(NONE[name], looks), torch.randn(2, 4))
    assert workload.full_precision == ()
    assert workload.macs == 28


@PATHS
@pytest.mark.parametrize(
    ("function", "macs"),
    [
        (lambda net, x: x * (x @ net.vector)[:, None], 4),
        (lambda net, x: x * torch.dot(net.vector, net.vector), 4),
        (lambda net, x: torch.einsum("bi,ij,bj->bj", x, net.matrix, x), 16),
    ],
    ids=["vector", "dot", "three operands"],
)
def test_products_that_are_counted(function: Any, macs: int, looks: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NemoWarning)
        workload = Workload.from_module(Calls(function, looks), torch.randn(2, 4))
    assert all(part.macs is not None for part in workload.full_precision)
    assert workload.macs == 28 + macs


def dynamic(layer: nn.Module, kind: torch.dtype) -> Any:
    """The layer, quantized by torch already."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(nn.Sequential(layer), {type(layer)}, dtype=kind)[0]


@pytest.mark.parametrize(("kind", "bits"), [(torch.qint8, 8), (torch.float16, 16)])
def test_packed_weights_count_with_what_they_store(kind: torch.dtype, bits: int) -> None:
    net = nn.Sequential(nn.Linear(4, 4), dynamic(nn.Linear(4, 6), kind), nn.Linear(6, 3))
    with pytest.warns(NemoWarning, match=r"1 \(linear: 24 weights, MACs unknown\)"):
        workload = Workload.from_module(net, torch.randn(2, 4))
    (part,) = workload.full_precision
    assert (part.params, part.macs, part.bits) == (24, None, bits)
    size, _ = CostModel(workload).evaluate([[4] * len(workload.nodes)])[0]
    assert size == pytest.approx((16 * 4 + 24 * bits + 18 * 4) / (32 * (16 + 24 + 18)))


def test_packed_weights_of_an_lstm() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.head = dynamic(nn.LSTM(3, 5), torch.qint8), nn.Linear(5, 2)

        def forward(self, x: Tensor) -> Any:
            return self.head(self.lstm(x)[0])

    with pytest.warns(NemoWarning, match="MACs unknown"):
        workload = Workload.from_module(Net(), torch.randn(2, 4, 3))
    (part,) = workload.full_precision
    assert (part.name, part.params, part.macs, part.bits) == ("lstm", 4 * 5 * (3 + 5), None, 8)


class Scripted(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = x.reshape(-1, 1, 2, 2)
        return F.scaled_dot_product_attention(y, y, y).reshape(-1, 4)


def test_scripted_parts_are_looked_into() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = nn.Sequential(nn.Linear(4, 4), torch.jit.script(Scripted()), nn.Linear(4, 3)).eval()
        workload = Workload.from_module(net, torch.randn(2, 4))
    assert [one.macs for one in workload.full_precision] == [2 * 2 * 2 * 2]
    x = torch.randn(16, 4)
    QuantizationProblem(workload, calibration=x, data=(x, x[:, :3].argmax(1)))
