"""Metrics of nemo_lab and of one's own: counted by example, named apart, bounded honestly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nemo_lab import QuantizationProblem, Workload
from nemo_lab.errors import ArgumentError, DataError, EvaluationError
from nemo_lab.quantize.metrics import as_metrics
from nemo_lab.testing import check_problem

X = torch.randn(24, 1, 6, 6, generator=torch.Generator().manual_seed(0))
Y = torch.arange(24) % 4


class Heads(nn.Module):
    """Outputs in a dict or in a tuple, whose lengths are not the number of examples."""

    def __init__(self, as_dict: bool) -> None:
        super().__init__()
        self.conv, self.last, self.as_dict = nn.Conv2d(1, 3, 3), nn.Linear(48, 4), as_dict

    def forward(self, x: Tensor) -> Any:
        scores = self.last(self.conv(x).flatten(1))
        return {"scores": scores} if self.as_dict else (scores, scores, scores)


def problem(metric: Any, **options: Any) -> QuantizationProblem:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 4))
    return QuantizationProblem(Workload.from_module(net, X[:1]), X, (X, Y), metric=metric, **options)


def returns(value: Any, name: str = "own", **attributes: Any) -> Any:
    def metric(outputs: Any, labels: Any) -> Any:
        return value

    metric.__name__ = name
    vars(metric).update(attributes)
    return metric


@pytest.mark.parametrize("as_dict", [True, False])
@pytest.mark.parametrize("labelled", [True, False])
def test_examples_are_counted_by_the_inputs(as_dict: bool, labelled: bool) -> None:
    torch.manual_seed(0)
    workload = Workload.from_module(Heads(as_dict), X[:1])

    def spread(outputs: Any, labels: Any) -> Any:
        scores = outputs["scores"] if as_dict else outputs[0]
        return scores.std(1)

    def mean_spread(outputs: Any, labels: Any) -> float:
        return float(spread(outputs, labels).mean())

    data = (X, Y) if labelled else X
    found = [
        QuantizationProblem(workload, X, data, metric=metric, batch_size=size).evaluate([[8] * 4])[0, 0]
        for metric in (spread, mean_spread)
        for size in (7, 24)
    ]
    assert found == pytest.approx([found[0]] * 4, rel=1e-5)
    assert found[0] > 0


@pytest.mark.parametrize(
    "value", [0.25, np.float32(0.25), torch.tensor(0.25), [0.25] * 24, [False, True, False, False] * 6]
)
def test_numbers_of_every_kind_are_taken(value: Any) -> None:
    assert problem(returns(value)).evaluate([[8] * 4])[0, 0] == 0.25


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "metric 'own' returned a NoneType; return one number"),
        ("0.5", "metric 'own' returned a str"),
        ({"loss": 0.5}, "metric 'own' returned a dict"),
        (0.5 + 1j, "metric 'own' returned a complex"),
        (torch.tensor(0.5 + 1j), "metric 'own' returned a Tensor"),
        ([0.5, [0.5]], "metric 'own' returned a list"),
        ([0.5] * 23, r"returned shape \(23,\) for 24 examples"),
        (float("inf"), "returned inf; return finite numbers"),
    ],
)
def test_what_is_no_number_is_named(value: Any, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        problem(returns(value)).evaluate([[8] * 4])


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (["top1", "top1"], "metric 'top1' is given twice; name each once, and functions differently"),
        ([lambda o, y: 0.1, lambda o, y: 0.2], "metric 'lambda' is given twice"),
        (returns(0.5, "model_ratio"), "metric 'model_ratio' has the name of a cost; rename the function"),
        (["top1", returns(0.5, "bitop_ratio")], "metric 'bitop_ratio' has the name of a cost"),
        (
            [returns(0.5, "top5_error"), "top1", "top5"],
            "metric 'top5_error' has the name of another's objective; rename the function",
        ),
        (returns(0.5, bounds=(0, float("inf"))), r"metric 'own' has bounds \(0, inf\); give its lowest and"),
        (returns(0.5, bounds=3), "metric 'own' has bounds 3"),
        (lambda outputs: 0.5, r"lambda takes \(outputs\); it is called as lambda\(outputs, labels\)"),
        (returns(0.5, "kl"), "a function is called 'kl', as a metric of nemo_lab is; rename the function"),
        (returns(0.5, bounds=(1, 0)), r"metric 'own' has bounds \(1, 0\)"),
    ],
)
def test_names_and_bounds_that_cannot_be_are_refused(metric: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        problem(metric)


def test_names_of_objectives_are_told_apart() -> None:
    assert [m.objective.name for m in as_metrics(["top1", "top5", "kl", returns(0, "loss")])] == [
        "task_error", "top5_error", "kl_divergence", "loss",
    ]  # fmt: skip


def test_bounds_of_a_function_are_given_or_measured() -> None:
    def loss(outputs: Tensor, labels: Tensor) -> Tensor:
        return 10 * nn.functional.cross_entropy(outputs, labels)

    def gain(outputs: Tensor, labels: Tensor) -> Tensor:
        return -loss(outputs, labels)

    found = problem([loss, gain, returns(2.5, bounds=(-1, 3)), "top1", returns(0.5, "half")])
    ends = found.evaluate([[2] * 4, [8] * 4])
    expected = [
        [0, ends[:, 1].min(), -1, 0, 0, 2 / 32, 2 / 32],
        [ends[:, 0].max(), 1, 3, 1, 1, 8 / 32, 8 / 32],
    ]
    assert ends[:, 0].min() > 1
    assert found.objective_bounds.tolist() == expected
    assert problem([loss, gain]).objective_bounds[:, :2].tolist() == [row[:2] for row in expected]
    check_problem(problem(returns(40.0)))


def test_labels_that_are_no_classes_are_described() -> None:
    torch.manual_seed(0)
    workload = Workload.from_module(nn.Sequential(nn.Flatten(), nn.Linear(36, 4)), X[:1])
    for labels, message in (
        (Y.float(), r"labels have shape \(24,\) and type float32; give integers\[N\], the class of each"),
        (Y[:, None], r"labels have shape \(24, 1\) and type int64; give integers\[N\]"),
    ):
        with pytest.raises(DataError, match=message):
            QuantizationProblem(workload, X, (X, labels))


def test_the_metric_that_needs_classes_is_named() -> None:
    torch.manual_seed(0)
    maps, logit = (
        Workload.from_module(net, X[:1])
        for net in (nn.Sequential(nn.Conv2d(1, 3, 3)), nn.Sequential(nn.Flatten(), nn.Linear(36, 1)))
    )
    with pytest.raises(DataError, match=r"returns \(3, 4, 4\) for an example, metric 'top1' needs scores"):
        QuantizationProblem(maps, X, (X, Y), metric=(returns(0.5), "top1"))
    for metric in ("top1", "agreement", "kl"):  # which a single score would always pass
        with pytest.raises(
            DataError, match=rf"returns \(1,\) for an example, metric '{metric}' needs scores"
        ):
            QuantizationProblem(logit, X, (X, Y * 0), metric=metric)


@pytest.mark.parametrize("in_list", [True, False])
def test_a_metric_may_have_parameters(in_list: bool) -> None:
    judge = nn.Linear(4, 1)

    def judged(outputs: Tensor, labels: Tensor) -> Any:
        found = judge(outputs)[:, 0].sigmoid() * judge.weight.square().mean()
        return list(found) if in_list else found

    assert judge.weight.requires_grad
    assert 0 < problem(judged).evaluate([[8] * 4])[0, 0] < 1
    own = nn.Parameter(torch.tensor(0.25))
    assert problem(lambda outputs, labels: [own] * 24 if in_list else own).evaluate([[8] * 4])[0, 0] == 0.25


SCORES = torch.tensor([[0.0, -torch.inf, -torch.inf], [torch.nan, 0.0, 0.0], [-torch.inf, 0.0, -torch.inf]])


@pytest.mark.parametrize("name", ["top1", "top5", "agreement", "kl"])
def test_a_class_ruled_out_is_no_error_and_nan_is(name: str) -> None:
    (metric,) = as_metrics(name)
    reference = torch.tensor([[0.0, -torch.inf, -torch.inf], [0.0, 0.0, 0.0], [-torch.inf, 0.0, -torch.inf]])
    assert metric.errors(SCORES, torch.tensor([0, 0, 1]), reference).tolist() == [0, 1, 0]


def test_divergence_by_hand() -> None:
    (metric,) = as_metrics("kl")
    sure, torn = torch.tensor([[0.0, -torch.inf]]), torch.tensor([[0.0, 0.0]])
    tilted = torch.log(torch.tensor([[0.75, 0.25]]))
    found = [float(metric.errors(b, None, a)) for a, b in ((sure, torn), (torn, sure), (tilted, torn))]
    # ln 2 / ln 2; infinite; 1 + 0.75 lb 0.75 + 0.25 lb 0.25
    assert found == pytest.approx([1, 1, 0.1887219], abs=1e-6)
