"""What later parts of a network write to is never what somebody else still needs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import nemo_lab as nl

TOKENS = torch.randint(0, 20, (48, 6), generator=torch.Generator().manual_seed(0))
NUMBERS = torch.randn(48, 8, generator=torch.Generator().manual_seed(0))
pytestmark = pytest.mark.filterwarnings("ignore::nemo_lab.NemoWarning")  # untrained: 8 bits may be far


class Block(nn.Module):
    """Attention and a layer, each added in place to what no decision changes."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(16) for _ in range(2))
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.layer = nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norms[0](x)
        x += self.attention(h, h, h, need_weights=False)[0]
        return x.add_(F.gelu(self.layer(self.norms[1](x))))


class Added(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token, self.blocks = nn.Embedding(20, 16), nn.Sequential(Block(), Block())
        self.head = nn.Linear(16, 5)

    def forward(self, tokens: Tensor) -> Tensor:
        found: Tensor = self.head(self.blocks(self.token(tokens)).mean(1))
        return found


class Rounded(nn.Module):
    """What no decision changes is rounded in place much later."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.head = nn.BatchNorm1d(8), nn.Linear(16, 5)
        self.layers = nn.ModuleList(nn.Linear(*sizes) for sizes in ((8, 16), (16, 16), (8, 16)))

    def forward(self, x: Tensor) -> Tensor:
        a, (first, second, third) = self.norm(x.flip(1)), self.layers
        found: Tensor = self.head(torch.relu(second(torch.relu(first(x))) + third(torch.relu(a))))
        return found


class Overwritten(nn.Module):
    """The input itself is written to, behind the quantizer that reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 5), nn.Linear(8, 5)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)
        return first + self.second(self.relu(x))


class Held(nn.Module):
    """The weight of its first layer is a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 5)
        )
        weight = self.layers[0].weight.detach()
        del self.layers[0].weight
        self.layers[0].register_buffer("weight", weight)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.layers(x)
        return found


KINDS = [(Added, TOKENS), (Rounded, NUMBERS), (Overwritten, NUMBERS), (Held, NUMBERS)]


@pytest.mark.parametrize(("make", "inputs"), KINDS)
def test_no_error_depends_on_what_is_kept(make: Callable[[], nn.Module], inputs: Tensor) -> None:
    torch.manual_seed(0)
    module, before = make().eval(), inputs.clone()
    workload = nl.Workload.from_module(module, inputs[:2])
    kept, fresh = (
        nl.QuantizationProblem(workload, inputs, inputs, "kl", batch_size=16, kept_mb=size)
        for size in (64, 0)
    )
    rng, found = np.random.default_rng(1), []
    for step in range(24):  # most begin alike
        row = np.full(kept.num_nodes, 8)
        row[(step % 3) * kept.num_nodes // 4 :] = rng.choice(np.arange(4, 9))
        row[-1] = rng.choice(np.arange(2, 9))
        found.append(row)
    assert np.array_equal([kept.evaluate(row) for row in found], [fresh.evaluate(row) for row in found])
    assert torch.equal(inputs, before)


@pytest.mark.parametrize(("make", "inputs"), KINDS)
def test_ranges_and_errors_are_those_of_the_examples(make: Callable[[], nn.Module], inputs: Tensor) -> None:
    """In full precision, where quantizers hand on what they are given, nothing is overwritten either."""
    torch.manual_seed(0)
    module = make().eval()
    workload = nl.Workload.from_module(module, inputs[:2])
    problem = nl.QuantizationProblem(workload, inputs, inputs, "agreement", calibration_batch=len(inputs))
    for _ in range(2):
        assert problem.full_precision_error() == 0
    if inputs is NUMBERS and make is not Rounded:
        first = next(iter(problem.ranges.values()))
        assert first == pytest.approx((float(NUMBERS.min()), float(NUMBERS.max())))


def test_a_metric_may_write_to_what_it_is_given_and_take_gradients() -> None:
    torch.manual_seed(0)
    module = nn.Linear(8, 4).eval()
    labels = module(NUMBERS).argmax(1) + 1

    def from_one(outputs: Tensor, labels: Tensor, reference: Tensor) -> Tensor:
        labels -= 1
        wrong = (outputs.argmax(1) != labels).float()
        outputs[:] = reference.zero_()
        with torch.enable_grad():
            outputs.requires_grad_().square().sum().backward()
        return wrong

    def top(outputs: Tensor, labels: Tensor) -> Tensor:
        return (outputs.argmax(1) != labels - 1).float()

    workload = nl.Workload.from_module(module, NUMBERS[:2])
    problem = nl.QuantizationProblem(
        workload, NUMBERS, (NUMBERS, labels), [from_one, top], bit_widths=(3, 16)
    )
    for bits in (16, 3, 16):
        first, second = problem.evaluate([bits, bits])[0, :2]
        assert first == second
    assert first == 0


def test_a_metric_that_raises_is_named_with_what_it_was_given() -> None:
    def odd(outputs: Tensor, labels: Tensor) -> Tensor:
        return outputs - labels

    workload = nl.Workload.from_module(nn.Linear(8, 4).eval(), NUMBERS[:2])
    with pytest.raises(
        nl.NemoError,
        match=r"'odd' raised TypeError.*outputs are a tensor of shape \(48, 4\), labels are None",
    ):
        nl.QuantizationProblem(workload, NUMBERS, NUMBERS, odd)
