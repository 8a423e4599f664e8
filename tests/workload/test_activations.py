"""Which activations are decisions is a choice; what is multiplied, and how often, does not depend on it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nemo_lab import CostModel, QuantizationProblem, Workload
from nemo_lab.errors import ArgumentError


class Block(nn.Module):
    """A transformer's: sums that a norm reads, and products of all kinds."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm, self.qkv, self.out = nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(8, 8)
        self.up, self.down = nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(self.norm(x)).chunk(3, -1)
        x = x + self.out((query @ key.transpose(1, 2)).softmax(-1) @ value)
        return x + self.down(nn.functional.gelu(self.up(self.norm(x))))


X = torch.randn(32, 5, 8, generator=torch.Generator().manual_seed(0))


def traced(activations: str | None) -> Workload:
    return Workload.from_module(Block().eval(), X[:2], activations=activations)  # type: ignore[arg-type]


def test_what_no_multiplication_reads_is_left_alone() -> None:
    every, operands, none = map(traced, ("all", "operands", None))
    left = set(every.names) - set(operands.names)
    assert left
    assert all(every.find(name).kind == "activation" for name in left)
    read = {index for layer in every.layers for index in layer.operands}
    assert left == {node.name for node in every.nodes if node.index not in read}
    assert [node.name for node in none.nodes] == [node.name for node in every.nodes if node.kind == "weight"]
    assert every.macs == operands.macs == none.macs
    assert every.params == operands.params == none.params


def test_costs_and_errors_follow() -> None:
    every, operands, none = map(traced, ("all", "operands", None))
    eights = [CostModel(one).evaluate([8] * len(one.nodes))[0] for one in (every, operands, none)]
    assert eights[0].tolist() == eights[1].tolist() == [0.25, 0.25]
    assert eights[2].tolist() == [0.25, 1.0]

    def off(outputs: Tensor, labels: Tensor | None, reference: Tensor) -> Tensor:
        return (outputs - reference).flatten(1).square().mean(1)

    errors = [
        QuantizationProblem(one, X, X, off).evaluate([4] * len(one.nodes))[0, 0]
        for one in (every, operands, none)
    ]
    assert np.all(np.diff(errors) < 0)


def test_another_choice_is_refused() -> None:
    with pytest.raises(ArgumentError, match="activations"):
        traced("some")
