"""Networks that compute in regions, such as ``with torch.no_grad():``: nothing in them may get lost."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nemo_lab import QuantizationProblem, Workload

REGIONS = {
    "no_grad": torch.no_grad,
    "enable_grad": torch.enable_grad,
    "inference_mode": torch.inference_mode,
    "autocast off": lambda: torch.autocast("cpu", enabled=False),
    "autocast bfloat16": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "autocast float16": lambda: torch.autocast("cpu", dtype=torch.float16),
}


class Parts(nn.Module):
    """Three layers; subclasses say where they are called. torch.fx cannot trace it if it looks at sizes."""

    def __init__(self, looks: bool) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)
        self.looks = looks

    def region(self) -> AbstractContextManager[Any]:
        return torch.enable_grad()

    def forward(self, x: Tensor) -> Any:
        if self.looks and x.shape[1] != 4:
            raise ValueError("four features, please")
        return self.compute(x)

    def compute(self, x: Tensor) -> Any:
        with self.region():
            x = self.b(F.relu(self.a(x)))
        return self.c(x.float())


class Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    @torch.enable_grad()
    def forward(self, x: Tensor) -> Any:
        return {"sum": self.layer(x).relu(), "none": None, "more": [x, x.shape[0]]}


class InSubmodule(Parts):
    """A decorated method of a submodule, that returns more than one thing, and is called twice."""

    def __init__(self, looks: bool) -> None:
        super().__init__(looks)
        self.b = Inner()  # type: ignore[assignment]

    def compute(self, x: Tensor) -> Any:
        first = self.b(self.a(x))
        return self.c(self.b(first["sum"])["sum"])


class Nested(Parts):
    def compute(self, x: Tensor) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            x = self.a(x)
            with torch.enable_grad(), torch.autocast("cpu", enabled=False):
                x = self.b(x.float())
            x = self.c(x.to(torch.bfloat16))
        return x.float()


class Throughout(Parts):
    @torch.autocast("cpu", dtype=torch.bfloat16)
    def compute(self, x: Tensor) -> Any:
        return self.c(self.b(self.a(x)))


class Writes(Parts):
    def compute(self, x: Tensor) -> Any:
        x = x.clone()
        with torch.enable_grad():
            x.mul_(2)
            y = self.b(self.a(x))
        return self.c(y * x)


def names(workload: Workload) -> list[tuple[str, int]]:
    return [(layer.name, layer.macs) for layer in workload.layers]


def traced(net: nn.Module) -> tuple[Workload, Tensor]:
    torch.manual_seed(0)
    for parameter in net.parameters():
        nn.init.normal_(parameter, 0.0, 0.5)
    return Workload.from_module(net.eval(), torch.randn(2, 4)), torch.randn(64, 4)


def holds(workload: Workload, x: Tensor) -> None:
    """What is computed is what the network computes, nearly so at 8 bits, and not at 2."""
    with torch.no_grad():
        wanted = workload.module(x)
    found = workload.graph(x)
    assert found.dtype == wanted.dtype
    torch.testing.assert_close(found, wanted, rtol=0.05, atol=0.05)
    problem = QuantizationProblem(workload, calibration=x, data=(x, wanted.float()), metric=distance)
    variance, nodes = float(wanted.float().var()), len(workload.nodes)
    assert problem.evaluate([8] * nodes)[0, 0] < 0.05 * variance < problem.evaluate([2] * nodes)[0, 0]


def distance(outputs: Tensor, labels: Tensor) -> Tensor:
    return (outputs.float() - labels).square().mean(1)


@pytest.mark.parametrize("looks", [False, True], ids=["torch.fx", "torch.export"])
@pytest.mark.parametrize("region", REGIONS)
def test_what_is_in_a_region_is_quantized_like_the_rest(
    region: str, looks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Parts, "region", lambda self: REGIONS[region]())
    workload, x = traced(Parts(looks))
    assert names(workload) == [("a", 16), ("b", 16), ("c", 12)]
    assert [n.name for n in workload.nodes if n.kind == "weight"] == ["a.weight", "b.weight", "c.weight"]
    assert workload.full_precision == ()
    holds(workload, x)


@pytest.mark.parametrize("looks", [False, True], ids=["torch.fx", "torch.export"])
@pytest.mark.parametrize(
    ("net", "layers"),
    [
        (InSubmodule, [("a", 16), ("b.layer", 16), ("b.layer", 16), ("c", 12)]),
        (Nested, [("a", 16), ("b", 16), ("c", 12)]),
        (Throughout, [("a", 16), ("b", 16), ("c", 12)]),
        (Writes, [("a", 16), ("b", 16), ("c", 12)]),
    ],
)
def test_regions_of_every_shape(net: type[Parts], layers: list[tuple[str, int]], looks: bool) -> None:
    workload, x = traced(net(looks))
    assert names(workload) == layers
    assert workload.full_precision == ()
    holds(workload, x)


def test_tracing_in_inference_mode() -> None:
    net = Writes(looks=False)
    with torch.inference_mode():
        workload, x = traced(net)
    assert names(workload) == [("a", 16), ("b", 16), ("c", 12)]
    torch.testing.assert_close(workload.graph(x), workload.module(x))


class Chooses(Parts):
    def compute(self, x: Tensor) -> Any:
        with torch.enable_grad():
            y = torch.cond(x.sum() > 0, lambda x: self.a(x), lambda x: 2 * x, (x,))
        return self.c(y)


def test_what_is_chosen_by_the_data_stays_in_full_precision() -> None:
    with pytest.warns(match="MACs unknown"):
        workload, x = traced(Chooses(looks=False))
    assert names(workload) == [("c", 12)]
    (part,) = workload.full_precision
    assert (part.op, part.params, part.macs) == ("cond", 16, None)
    for sign in (1, -1):
        torch.testing.assert_close(workload.graph(sign * x.abs()), workload.module(sign * x.abs()))
    QuantizationProblem(workload, calibration=x, data=(x, x[:, :3].argmax(1)))
