"""Perplexity: of all places of all examples together, stored as the mean log-likelihood."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nemo_lab import QuantizationProblem, Workload
from nemo_lab.errors import DataError
from nemo_lab.quantize.metrics import as_metrics
from nemo_lab.testing import check_problem

X = torch.randn(20, 5, 8, generator=torch.Generator().manual_seed(0))


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)).eval()


def problem(labels: Tensor | None, metric: Any = "perplexity", inputs: Tensor = X, **options: Any) -> Any:
    workload = Workload.from_module(net(), inputs[:2])
    data = inputs if labels is None else (inputs, labels)
    return QuantizationProblem(workload, inputs, data, metric, **options)


with torch.no_grad():
    RIGHT = net()(X).argmax(-1)  # labels of a network that is right
LABELS = RIGHT.where(torch.rand(20, 5, generator=torch.Generator().manual_seed(1)) < 0.9, 0)
SOME = LABELS.where(torch.rand(20, 5, generator=torch.Generator().manual_seed(2)) < 0.4, -100)
SOME[:, 0] = LABELS[:, 0]


def surprise(outputs: Tensor, labels: Tensor) -> Tensor:
    return nn.functional.cross_entropy(outputs.mT, labels, reduction="none").mean(1)


@pytest.mark.parametrize("labels", [LABELS, SOME])
@pytest.mark.parametrize("batch", [3, 20])
def test_every_place_counts_alike_whatever_its_example_and_batch(labels: Tensor, batch: int) -> None:
    of = problem(labels, ("top1", "perplexity"), batch_size=batch)
    network = of.network()
    for bits in ([3] * 4, [8] * 4):
        network.set_bits(bits)
        with torch.no_grad():
            outputs = network(X).double()
        expected = float(nn.functional.cross_entropy(outputs.flatten(0, 1), labels.flatten()))
        found = of.evaluate([bits])[0, 1]
        assert found == pytest.approx(expected, rel=1e-6)
        assert of.error([bits], (X, labels), "perplexity")[0] == found
        assert of.objectives[1].text(found) == f"{math.exp(found):.4f}"
    share = (outputs.argmax(-1) != labels).double()
    rows = (share * (labels != -100)).sum(1) / (labels != -100).sum(1)
    assert of.evaluate([[8] * 4])[0, 0] == pytest.approx(float(rows.mean())), (
        "of others, examples count alike"
    )


def test_labels_of_examples_are_all_counted() -> None:
    of = problem(LABELS[:, 0], inputs=X[:, 0], batch_size=6)
    with torch.no_grad():
        expected = float(nn.functional.cross_entropy(net()(X[:, 0]), LABELS[:, 0]))
    assert of.full_precision_error() == pytest.approx(expected, rel=1e-6)


def test_a_label_that_is_ruled_out_counts_a_hundred_nats_and_so_does_nan() -> None:
    (metric,) = as_metrics("perplexity")
    scores = torch.tensor([[0.0, -torch.inf], [torch.nan, 0.0], [-torch.inf, 0.0], [1e30, 0.0], [0.0, 0.0]])
    found = metric.errors(scores, torch.tensor([0, 1, 0, 1, 1]), None)
    assert found.tolist() == pytest.approx([0, 100, 100, 100, math.log(2)])


def test_bounds_reach_from_certainty_to_a_guess() -> None:
    of = problem(RIGHT, ("perplexity", surprise))
    ends = of.evaluate([[2] * 4, [8] * 4])
    assert of.objective_bounds[:, 0].tolist() == [0, math.log(4)]
    assert of.objective_bounds[:, 1].tolist() == [0, max(1, ends[:, 1].max())], "as of functions"
    check_problem(problem(RIGHT, ("kl", "perplexity")))


def test_what_is_worse_than_a_guess_counts_as_one() -> None:
    of = problem((RIGHT + 1) % 4, ("perplexity", surprise))
    assert of.evaluate([[8] * 4])[0, :2].tolist() == [math.log(4), pytest.approx(1.6, abs=0.1)]
    assert of.objective_bounds[:, 0].tolist() == [0, math.log(4)]


def test_it_is_an_objective_like_any_other() -> None:
    of = problem(SOME, ("kl", "perplexity"))
    assert of.objective_names == ("kl_divergence", "log_perplexity", "model_ratio", "bitop_ratio")
    with pytest.raises(DataError, match="data has no labels"):
        problem(None)
