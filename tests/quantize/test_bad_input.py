"""Odd data, odd networks and odd metrics: handled, or refused with the way out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from nemo_lab import QuantizationProblem, Workload
from nemo_lab.errors import ArgumentError, DataError, EvaluationError, UnknownNameError


def small(seed: int = 0) -> tuple[Workload, Tensor, Tensor]:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 4))
    return Workload.from_module(net, torch.zeros(1, 1, 6, 6)), torch.randn(20, 1, 6, 6), torch.arange(20) % 4


def problem(data: Any = None, calibration: Any = None, **options: Any) -> QuantizationProblem:
    workload, images, labels = small()
    given = (images, labels) if data is None else data
    return QuantizationProblem(workload, images if calibration is None else calibration, given, **options)


def test_a_loader_gives_what_its_tensors_give() -> None:
    _, images, labels = small()
    loader = DataLoader(TensorDataset(images, labels), batch_size=7)
    rows = np.random.default_rng(0).integers(2, 9, (4, 4))
    expected = problem().evaluate(rows)
    assert np.array_equal(problem(loader, calibration=loader).evaluate(rows), expected)
    assert np.array_equal(problem(list(loader), calibration=[images]).evaluate(rows), expected)


def test_metrics_without_labels_compare_with_full_precision() -> None:
    _, images, _ = small()
    found = problem(images, metric=("agreement", "kl"), bit_widths=(2, 16))
    assert found.objective_names == ("task_error", "kl_divergence", "model_ratio", "bitop_ratio")
    wide, narrow = found.evaluate([[16] * 4, [2] * 4])
    assert wide[0] == 0
    assert 0 <= wide[1] < 1e-6 < narrow[1] <= 1


def test_a_metric_of_ones_own_may_return_one_number_or_one_for_each() -> None:
    def one(outputs: Tensor, labels: Tensor) -> Tensor:
        return nn.functional.cross_entropy(outputs, labels)

    def each(outputs: Tensor, labels: Tensor) -> Tensor:
        return nn.functional.cross_entropy(outputs, labels, reduction="none")

    first, second = (problem(metric=m, batch_size=6).evaluate([[8] * 4])[0, 0] for m in (one, each))
    assert first == pytest.approx(second, rel=1e-5)


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (lambda outputs, labels: float("nan"), "returned nan; return finite numbers"),
        (lambda outputs, labels: outputs, r"returned shape \(20, 4\) for 20 examples"),
    ],
)
def test_a_metric_that_makes_no_sense_is_named(metric: Any, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        problem(metric=metric).evaluate([[8] * 4])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"data": []}, DataError, "data is empty; give at least one batch"),
        ({"data": {"x": 1}}, DataError, "data is a dictionary with the keys x; give batches that are inputs"),
        ({"data": (torch.randn(3, 1, 6, 6), torch.tensor([0, 1, 4]))}, DataError, "0 to 4.*has 4 classes"),
        ({"data": torch.randn(3, 1, 6, 6)}, DataError, "data has no labels"),
        ({"metric": "f1"}, ArgumentError, "no metric 'f1'; use one of top1"),
        ({"metric": ()}, ArgumentError, "there is no metric"),
        ({"metric": ("top1", "top1", "top1")}, ArgumentError, "given twice"),
        ({"ranges": "best"}, ArgumentError, "ranges='best'; give 'minmax', 'percentile' or 'mse'"),
        ({"percentile": 50}, ArgumentError, "percentile=50; give a percentile above 50, at most 100"),
        ({"batch_size": 0}, ArgumentError, "batch_size=0; give a whole number of at least 1"),
        ({"batch_size": 2.5}, ArgumentError, "batch_size=2.5; give a whole number"),
        ({"batch_size": True}, ArgumentError, "batch_size=True"),
        ({"calibration_batch": 0.5}, ArgumentError, "calibration_batch=0.5"),
        ({"batch_size": np.array([4, 5])}, ArgumentError, r"batch_size=array\(\[4, 5\]\); give a whole"),
        ({"batch_size": torch.tensor(2.5)}, ArgumentError, r"batch_size=2.5; give a whole"),
        ({"threads": "all"}, ArgumentError, "threads='all'"),
        (
            {"bit_widths": 8},
            ArgumentError,
            r"bit_widths=8; give ascending .* such as \(4, 8\)",
        ),
        ({"bit_widths": np.array(8)}, ArgumentError, r"bit_widths=8; give ascending"),
        ({"bit_widths": (4, 4.5)}, ArgumentError, r"bit_widths=\(4, 4.5\)"),
        ({"bit_widths": (8, 4)}, ArgumentError, r"bit_widths=\(8, 4\)"),
        ({"bit_widths": ()}, ArgumentError, r"bit_widths=\(\)"),
        ({"bit_widths": (4, 17)}, ArgumentError, r"bit_widths=\(4, 17\)"),
        ({"bit_widths": "48"}, ArgumentError, "bit_widths='48'"),
        ({"bit_widths": (4, None)}, ArgumentError, r"bit_widths=\(4, None\)"),
        ({"bit_widths": (4, float("inf"))}, ArgumentError, r"bit_widths=\(4, inf\)"),
        ({"kept_mb": float("nan")}, ArgumentError, "kept_mb=nan; give a number of megabytes, 0 to keep"),
        ({"kept_mb": -1}, ArgumentError, "kept_mb=-1"),
        ({"kept_mb": "much"}, ArgumentError, "kept_mb='much'"),
        ({"device": "abacus"}, ArgumentError, "device='abacus'; give 'cpu'"),
        ({"device": "meta"}, ArgumentError, "device='meta'"),
        ({"device": ""}, ArgumentError, "device=''"),
        ({"kept_mb": 10**400}, ArgumentError, r"kept_mb=1000+; give a number of megabytes"),
        ({"device": 2**70}, ArgumentError, "device=1180591620717411303424"),
        ({"device": 0.5}, ArgumentError, "device=0.5"),
    ],
)
def test_what_cannot_be_used_is_explained(options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        problem(**options)


def test_numbers_of_numpy_and_torch_are_numbers() -> None:
    rows = np.random.default_rng(0).integers(4, 6, (3, 4))
    expected = problem(bit_widths=(4, 5), batch_size=6, calibration_batch=6, threads=1).evaluate(rows)
    for kind in (np.int64, torch.tensor):
        counts: Any = {name: kind(6) for name in ("batch_size", "calibration_batch")}
        widths: Any = [kind(4), kind(5)]
        found = problem(bit_widths=widths, threads=kind(1), kept_mb=kind(3), **counts)
        assert found.bit_widths == (4, 5)
        assert np.array_equal(found.evaluate(rows), expected)


def test_a_batch_of_one_and_constant_activations() -> None:
    workload, images, labels = small()
    rows = np.random.default_rng(1).integers(2, 9, (3, 4))
    one = QuantizationProblem(workload, images, (images, labels), batch_size=1).evaluate(rows)
    assert np.isfinite(one).all()
    black = torch.zeros(5, 1, 6, 6)
    assert np.isfinite(problem((black, labels[:5]), calibration=black).evaluate(rows)).all()


@pytest.mark.parametrize("ranges", ["minmax", "percentile", "mse"])
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("symmetric", [False, True])
def test_a_dead_channel_stays_dead(ranges: Any, per_channel: bool, symmetric: bool) -> None:
    workload, images, labels = small()
    with torch.no_grad():
        workload.module[0].weight[1] = 0.0  # type: ignore[index, union-attr]
    options: Any = {"ranges": ranges, "per_channel": per_channel, "symmetric": symmetric}
    found = QuantizationProblem(workload, images, (images, labels), **options)
    assert np.isfinite(found.evaluate([[2] * 4, [8] * 4])).all()
    assert not found.network().weights.at("0.weight", 3)[1].any()
    assert np.isfinite(found.sqnr().to_numpy()).all()


def test_a_quantizer_that_does_not_exist_is_asked_back() -> None:
    found = problem()
    assert found.quantizer("0.weight", 4) is None
    assert found.quantizer("0.input", 4) is not None
    with pytest.raises(UnknownNameError, match=r"no quantizer '0.imput'; did you mean '0.input'\?"):
        found.quantizer("0.imput", 4)


def test_weights_that_are_not_finite_are_named() -> None:
    workload, images, labels = small()
    with torch.no_grad():
        workload.module[3].weight[1, 0] = torch.inf  # type: ignore[index, union-attr]
    with pytest.raises(DataError, match=r"weight '3.weight' is not finite; train"):
        QuantizationProblem(workload, images, (images, labels)).evaluate([[8] * 4])


def test_a_bit_more_is_about_six_decibels() -> None:
    table = problem().sqnr()
    gain = table.diff(axis=1).iloc[:, 1:].mean(axis=None)
    assert 4.5 < gain < 7.5
