"""Networks in half precision, whole or in part: computed in float32, whatever types their code names."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nemo_lab import CostModel, QuantizationProblem, Workload
from nemo_lab.errors import TraceError
from nemo_lab.export import quantized_module
from nemo_lab.quantize.affine import fake_quantize

X = torch.randn(96, 8, generator=torch.Generator().manual_seed(0))


class Cast(nn.Module):
    """Two layers, and between them what people write about types."""

    def __init__(self, between: Callable[[Tensor], Tensor], guarded: bool) -> None:
        super().__init__()
        self.between, self.guarded = between, guarded
        self.a, self.norm, self.b = nn.Linear(8, 16), nn.LayerNorm(16), nn.Linear(16, 4)
        self.register_buffer("shift", torch.randn(16))

    def forward(self, x: Tensor) -> Tensor:
        if self.guarded and x.shape[-1] != 8:  # which stops torch.fx
            raise ValueError("eight features")
        x = F.silu(self.a(x.to(self.a.weight.dtype)))
        x = self.between(x + self.shift.to(x.dtype))
        x = self.norm(x.to(self.norm.weight.dtype))
        out: Tensor = self.b(x.to(self.b.weight.dtype))
        return out


BETWEEN: dict[str, Callable[[Tensor], Tensor]] = {
    "nothing": lambda x: x,
    "float and back": lambda x: x.float().exp().to(x.dtype),
    "by name": lambda x: x.float().sigmoid().bfloat16(),
    "half": lambda x: x.half(),
    "by keyword": lambda x: F.softmax(x, dim=-1, dtype=torch.float32).to(dtype=torch.float16),
    "type": lambda x: x.type(torch.bfloat16),
    "as another": lambda x: x.float().type_as(x) + torch.zeros_like(x, dtype=torch.bfloat16),
    "made": lambda x: x * torch.full((16,), 0.5, dtype=torch.bfloat16),
    "double": lambda x: x.double().tanh().to(x.dtype),
}


@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize("kind", ["bfloat16", "float16", "float32", "norm in float32", "head in float16"])
def test_types_in_the_code_do_not_matter(kind: str, between: str, guarded: bool) -> None:
    torch.manual_seed(0)
    module = Cast(BETWEEN[between], guarded).eval()
    if kind == "head in float16":
        module.b.half()
    else:
        module.to(getattr(torch, kind, torch.bfloat16))
    if kind == "norm in float32":
        module.norm.float()
    example = X[:4].to(module.a.weight.dtype)
    with torch.no_grad():
        labels = module(X.to(example.dtype)).argmax(1)
    workload = Workload.from_module(module, example)
    problem = QuantizationProblem(workload, X, (X, labels))
    assert problem.full_precision_error() <= 0.06  # ties of three digits
    eights = [8] * problem.num_nodes
    error = problem.evaluate(eights)[0, 0]
    assert error <= 0.13
    exported = quantized_module(problem, [8 if name != "a.weight" else 3 for name in problem.node_names])
    weight = module.a.weight.detach().float()
    torch.testing.assert_close(
        exported.get_parameter("a.weight"), fake_quantize(weight, float(weight.min()), float(weight.max()), 3)
    )
    assert exported(X).dtype == torch.float32
    assert {parameter.dtype for parameter in module.a.parameters()} == {example.dtype}  # not touched


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_a_branch_by_the_data_is_found_in_half_precision_too(kind: torch.dtype) -> None:
    class Branch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 4)

        def forward(self, x: Tensor) -> Tensor:
            y = self.a(x)
            out: Tensor = self.b(y if len(x) < 8 else -y)
            return out

    torch.manual_seed(0)
    module = Branch().to(kind).eval()
    workload = Workload.from_module(module, X[:4].to(kind))
    with pytest.raises(TraceError, match="as it was traced, gives other outputs than the module itself"):
        QuantizationProblem(workload, X, X, "kl")


@pytest.mark.parametrize(
    ("kind", "ratio"), [(torch.float32, 1.0), (torch.bfloat16, 0.5), (torch.float64, 1.0)]
)
def test_what_is_not_quantized_counts_as_it_is_stored(kind: torch.dtype, ratio: float) -> None:
    module = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)).to(kind).eval()
    workload = Workload.from_module(module, X[:4].to(kind), ignore="0.weight")
    costs = CostModel(workload).evaluate([8] * len(workload.nodes))[0]
    assert costs[0] == pytest.approx((128 * ratio + 64 * 8 / 32) / 192)
