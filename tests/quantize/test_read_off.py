"""Weights that are computed with a look at what the input is like, and buffers of every type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nemo_lab import CostModel, QuantizationProblem, Workload
from nemo_lab.quantize.affine import fake_quantize

X = torch.randn(48, 8, generator=torch.Generator().manual_seed(0))
Product = Callable[[Any, Tensor], Tensor]


class Head(nn.Module):
    """A layer, and a product with something stored."""

    def __init__(self, product: Product) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.product, self.layer = product, nn.Linear(8, 8)
        self.weight = nn.Parameter(torch.randn(4, 8))
        self.register_buffer("mask", torch.rand(4, 8) > 0.3)
        self.register_buffer("whole", torch.randint(-9, 9, (4, 8), dtype=torch.int8))

    def forward(self, x: Tensor) -> Tensor:
        return self.product(self, self.layer(x))


PRODUCTS: dict[str, tuple[Product, Callable[[Any], Tensor]]] = {
    "device": (lambda m, h: F.linear(h, m.weight * m.mask.to(h.device)), lambda m: m.weight * m.mask),
    "dtype": (lambda m, h: F.linear(h, m.weight.to(h.dtype) * 2), lambda m: m.weight * 2),
    "a size": (lambda m, h: F.linear(h, m.weight * h.shape[1] ** -0.5), lambda m: m.weight * 8**-0.5),
    "size()": (lambda m, h: F.linear(h, m.weight / h.size(-1)), lambda m: m.weight / 8),
    "whole numbers": (lambda m, h: F.linear(h, m.whole.to(h.dtype) * 0.1), lambda m: m.whole * 0.1),
    "as they are": (lambda m, h: F.linear(h, m.whole.to(h.dtype)), lambda m: m.whole.float()),
    "as another": (lambda m, h: F.linear(h, m.mask.type_as(h)), lambda m: m.mask.float()),
    "to another": (lambda m, h: F.linear(h, m.mask.to(h)), lambda m: m.mask.float()),
    "keywords": (
        lambda m, h: F.linear(h, torch.index_select(dim=0, index=torch.tensor([3, 2, 1, 0]), input=m.weight)),
        lambda m: m.weight.flip(0),
    ),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_weight_stays_one(name: str) -> None:
    product, weight = PRODUCTS[name]
    module = Head(product).eval()
    workload = Workload.from_module(module, X[:4])
    assert sorted(node.kind for node in workload.nodes) == ["activation", "activation", "weight", "weight"]
    assert workload.params == 64 + 32
    assert CostModel(workload).evaluate([4] * 4)[0].tolist() == [0.125, 0.125]

    def outputs_alone(outputs: Tensor, labels: Tensor) -> Tensor:
        return (outputs - labels).square().mean(1)

    with torch.no_grad():
        given = module.layer(X)
        full = weight(module).detach()
        rounded = fake_quantize(full, float(full.min()), float(full.max()), 3)
        wanted = F.linear(given, rounded)
    stored = workload.nodes[[node.params for node in workload.nodes].index(32)]
    problem = QuantizationProblem(workload, X, (X, wanted), outputs_alone)
    bits = [3 if node is stored else 8 for node in workload.nodes]
    spread = float(wanted.square().mean())
    assert problem.evaluate(bits)[0, 0] < 0.002 * spread  # but for the other three, at 8 bits


@pytest.mark.filterwarnings("ignore::nemo_lab.errors.NemoWarning")
def test_the_size_of_the_batch_is_not_held() -> None:
    def product(module: Any, h: Tensor) -> Tensor:
        turned = h.transpose(0, 1)
        return F.linear(h, module.weight * turned.shape[1])

    module = Head(product).eval()
    problem = QuantizationProblem(
        Workload.from_module(module, X[:4]), X, X, relative, batch_size=4, calibration_batch=4
    )
    network = problem.network()
    network.set_bits(None)
    with torch.no_grad():
        torch.testing.assert_close(network(X), module(X))


class Rotated(nn.Module):
    """Queries turned by complex numbers, which stay complex."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 5)
        self.register_buffer("turn", torch.polar(torch.ones(6, 4), torch.rand(6, 4)).to(dtype))

    def forward(self, x: Tensor) -> Tensor:
        h = torch.view_as_complex(self.a(x).unflatten(-1, (4, 2))) * self.turn.to(torch.complex64)
        out: Tensor = self.b(torch.view_as_real(h).flatten(-2))
        return out


class Double(nn.Module):
    def __init__(self, cast: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.cast, self.a, self.b = cast, nn.Linear(8, 8), nn.Linear(8, 5).double()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.b(self.cast(self.a(x.float())))
        return out


@pytest.mark.parametrize(
    ("module", "given"),
    [
        (Rotated(torch.complex64), torch.randn(48, 6, 8, generator=torch.Generator().manual_seed(0))),
        (Double(lambda x: x.double()), X),
        (Double(lambda x: x.to(torch.float64)), X),
        (Double(lambda x: x.type("torch.DoubleTensor")), X),
    ],
)
def test_complex_numbers_and_doubles_come_in(module: nn.Module, given: Tensor) -> None:
    problem = QuantizationProblem(Workload.from_module(module.eval(), given[:4]), given, given, relative)
    assert 0 < problem.evaluate([8] * problem.num_nodes)[0, 0] < 0.001


def relative(outputs: Tensor, labels: Tensor | None, reference: Tensor) -> Tensor:
    return (outputs - reference).flatten(1).square().mean(1) / reference.square().mean()


class Banked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 5)

    def forward(self, bank: Tensor, x: Tensor) -> Tensor:
        out: Tensor = self.b(self.a(x) - bank.mean(0))
        return out


def test_the_batch_is_what_the_output_has_rows_for() -> None:
    bank = torch.randn(10, 8, generator=torch.Generator().manual_seed(1))
    module = Banked().eval()
    workload = Workload.from_module(module, (bank, X[:4]))
    assert workload.macs == 64 + 40
    problem = QuantizationProblem(workload, X, X, relative)
    network = problem.network()
    network.set_bits(None)
    with torch.no_grad():
        torch.testing.assert_close(network(X), module(bank, X))
