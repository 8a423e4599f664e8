"""Which activations are decisions is a choice; what is multiplied, and how often, does not depend on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nemo_lab import CostModel, QuantizationProblem, Workload
from nemo_lab.cost.model import BitOps
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


def traced(activations: str | int | None) -> Workload:
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


@pytest.mark.parametrize("bitops", ["max", "product"])
def test_activations_that_are_held_at_16_bits(bitops: BitOps) -> None:
    """Weights alone are decisions; a product costs what its two operands have, by hand."""
    held, none = traced(16), traced(None)
    assert held.names == none.names
    of_weights = sum(layer.macs for layer in held.layers)
    between = held.macs - of_weights  # scores of attention: two activations
    assert between == 2 * 5 * 5 * 8
    full = 32 if bitops == "max" else 32 * 32
    expected = 16 * held.macs if bitops == "max" else 4 * 16 * of_weights + 16 * 16 * between
    model = CostModel(held, bitops)
    assert model.evaluate([4] * 4).tolist() == [[4 / 32, expected / (full * held.macs)]]
    assert model.uniform(4) == tuple(model.evaluate([4] * 4)[0])
    wide = [17, 4, 4, 4]
    near = model.neighbours([4] * 4, [17])[:, 0, 0]
    assert near.tolist() == model.evaluate(wide)[0].tolist()
    problems = [QuantizationProblem(one, X, X, "kl", bitops=bitops) for one in (held, none)]
    assert problems[0].evaluate([4] * 4)[0, 0] == problems[1].evaluate([4] * 4)[0, 0]
    assert "activations that are not quantized count 16 bits" in held.summary()
    assert "in full precision" not in held.summary()
    assert f"0 weights and {between} MACs of them stay in full precision" in none.summary()
    assert set(held.to_frame("layers")["right"]) == {"(16 bits)"}
    assert set(none.to_frame("layers")["right"]) == {"(full precision)"}


def test_what_is_ignored_beside_them_counts_32_bits() -> None:
    held = Workload.from_module(Block().eval(), X[:2], activations=16, ignore=["up.weight", "down.input"])
    layers = {layer.name: layer for layer in held.layers}
    assert layers["down"].unquantized[1] == 32
    assert layers["out"].unquantized[1] == 16
    up = next(part for part in held.full_precision if part.name == "up" and part.macs)
    assert up.unquantized == (32, 16)


@pytest.mark.parametrize("given", ["some", 8, 16.5, True, "16"])
def test_another_choice_is_refused(given: Any) -> None:
    with pytest.raises(ArgumentError, match=r"activations=.*give 'auto', 'all', 'operands', 16 or None"):
        traced(given)


def test_by_default_networks_with_attention_have_operands_alone() -> None:
    """At the same costs they lose much less; without a product of two activations it is the paper's rule."""
    assert (
        traced("auto").names == Workload.from_module(Block().eval(), X[:2]).names == traced("operands").names
    )
    net, images = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1)).eval(), torch.zeros(2, 3, 6, 6)
    assert len(Workload.from_module(net, images).nodes) == 3
    assert len(Workload.from_module(net, images, activations="operands").nodes) == 2


def test_what_is_left_out_so_cannot_be_tied() -> None:
    tie = [("up.input", "out.output")]
    with pytest.raises(ArgumentError, match=r"'out.output' is tied, but .* trace with activations='all'"):
        Workload.from_module(Block().eval(), X[:2], tie=tie)
    assert Workload.from_module(Block().eval(), X[:2], tie=tie, activations="all")
