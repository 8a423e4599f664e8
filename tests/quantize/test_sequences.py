"""Scores for every place of a sequence, outputs with names, and metrics that compare with full precision."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nemo_lab import QuantizationProblem, Workload
from nemo_lab.errors import DataError

X = torch.randn(20, 5, 8, generator=torch.Generator().manual_seed(0))
BITS = [3] * 4


@dataclass
class Named:
    logits: Tensor
    loss: Tensor | None = None


class Tagger(nn.Module):
    """Scores of four classes at each of five places."""

    def __init__(self, wrap: Any = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.wrap, self.a, self.b = wrap, nn.Linear(8, 16), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Any:
        found = self.b(self.a(x).relu())
        return found if self.wrap is None else self.wrap(found)


def problem(metric: Any, labels: Tensor | None, wrap: Any = None, **options: Any) -> QuantizationProblem:
    workload = Workload.from_module(Tagger(wrap).eval(), X[:2])
    data = X if labels is None else (X, labels)
    return QuantizationProblem(workload, X, data, metric, batch_size=8, **options)


@torch.no_grad()
def outputs(of: QuantizationProblem) -> tuple[Tensor, Tensor]:
    """At 3 bits and in full precision, [20, 5, 4]."""
    network = of.network()
    network.set_bits(BITS)
    return network(X), Tagger()(X)


LABELS = torch.randint(4, (20, 5), generator=torch.Generator().manual_seed(1))
SOME = torch.where(torch.rand(20, 5, generator=torch.Generator().manual_seed(2)) < 0.4, -100, LABELS)
SOME[:, 0] = LABELS[:, 0]


@pytest.mark.parametrize("labels", [LABELS, SOME])
def test_places_count_alike_within_an_example(labels: Tensor) -> None:
    of = problem(("top1", "kl", "agreement", "top5"), labels)
    found, wanted = outputs(of)
    counted = (labels != -100).double()
    logs = wanted.double().log_softmax(-1), found.double().log_softmax(-1)
    divergence = (logs[0].exp() * (logs[0] - logs[1])).sum(-1) / torch.log(torch.tensor(4.0)).double()
    by_hand = [found.argmax(-1) != labels, divergence, found.argmax(-1) != wanted.argmax(-1), counted * 0]
    means = [float(((one * counted).sum(1) / counted.sum(1)).mean()) for one in by_hand]
    assert of.evaluate(BITS)[0, :4].tolist() == pytest.approx(means, rel=1e-5)
    assert all(means[:3])


@pytest.mark.parametrize(
    "wrap",
    [
        lambda y: {"hidden": y, "logits": y},
        lambda y: OrderedDict(logits=y),
        lambda y: Named(y),
    ],
)
def test_what_a_network_calls_logits_are_its_scores(wrap: Any) -> None:
    expected = problem(("kl", "top1"), LABELS).evaluate(BITS)
    assert problem(("kl", "top1"), LABELS, wrap).evaluate(BITS).tolist() == expected.tolist()


def test_labels_that_do_not_fit_are_named() -> None:
    with pytest.raises(DataError, match=r"labels have shape \(20,\) and type int64; give integers\[N, T\]"):
        problem("top1", LABELS[:, 0])
    with pytest.raises(DataError, match="labels run from 0 to 5; the network has 4 classes"):
        problem("top1", torch.where(LABELS == 3, 5, LABELS))
    with pytest.raises(DataError, match="an example has no label that counts; leave such examples out"):
        problem("top1", torch.full_like(LABELS, -100))
    with pytest.raises(DataError, match="returns dict, metric 'kl' needs scores of classes"):
        problem("kl", None, lambda y: {"hidden": y})


def test_a_metric_of_ones_own_may_compare_with_full_precision() -> None:
    def cosine(outputs: Tensor, labels: Tensor | None, reference: Tensor) -> Tensor:
        return 1 - torch.cosine_similarity(outputs.flatten(1), reference.flatten(1))

    def of_all(outputs: Tensor, labels: Tensor | None, reference: Tensor) -> float:
        return float((outputs - reference).abs().max())

    def usual(outputs: Tensor, labels: Tensor | None, scale: float = 1.0) -> Tensor:
        return scale * outputs.flatten(1).square().mean(1)

    of = problem((cosine, of_all, usual), None)
    found, wanted = outputs(of)
    by_hand = [
        float((1 - torch.cosine_similarity(found.flatten(1), wanted.flatten(1))).double().mean()),
        float((found - wanted).abs().max()),
        float(found.flatten(1).square().mean(1).double().mean()),
    ]
    assert of.evaluate(BITS)[0, :3].tolist() == pytest.approx(by_hand, rel=1e-5)
    assert of.full_precision_error() == pytest.approx(0, abs=1e-6)
