"""``held_out``: checked when a problem is made, kept from the search, and what ``validate`` measures on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nemo_lab import QuantizationProblem, Workload, create_study
from nemo_lab.errors import DataError, NemoWarning


@pytest.fixture(scope="module")
def few(digits: Workload) -> tuple[Any, Any]:
    assert digits.data is not None
    return digits.data.held_out.inputs[:50], digits.data.held_out.labels[:50]


def test_validate_measures_on_what_was_held_out(
    digits: Workload, few: tuple[Any, Any], digits_problem: QuantizationProblem
) -> None:
    problem = QuantizationProblem(digits, held_out=few)
    study = create_study(problem, population=8, min_size=2).optimize(8, progress=False)
    found = study.validate(0)
    assert found.examples.tolist() == [50]
    assert found.held_out_accuracy[0] == 1 - problem.error(study.config(0), few)[0]
    assert study.validate(0, few, "kl").examples.tolist() == [50]
    assert study.validate(0, metric="kl").equals(study.validate(0, few, "kl"))
    assert problem.fingerprint() == digits_problem.fingerprint()
    assert problem.memory_bytes == digits_problem.memory_bytes + few[0].nbytes


def test_examples_in_both_are_counted(digits: Workload, few: tuple[Any, Any]) -> None:
    images = np.concatenate([few[0][:30], few[0][:3] + 1])
    labels = np.concatenate([few[1][:30], few[1][:3]])
    with pytest.warns(NemoWarning, match="30 of 50 examples of held_out are in data, too") as said:
        QuantizationProblem(digits, data=(images, labels), held_out=few)
    assert said[0].filename == __file__


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (lambda x, y: x, "held_out has no labels"),
        (lambda x, y: (x, y + 1), "held_out: labels run from 1 to 10"),
        (lambda x, y: (x[:, :, :4], y), "an example of held_out has shape"),
        (lambda x, y: (x * np.nan, y), "held_out has NaN or infinity"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_once(
    digits: Workload, few: tuple[Any, Any], given: Any, error: str
) -> None:
    with pytest.raises(DataError, match=error):
        QuantizationProblem(digits, held_out=given(*few))


def test_labels_are_wanted_where_a_metric_needs_them(digits: Workload, few: tuple[Any, Any]) -> None:
    problem = QuantizationProblem(digits, metric="kl", held_out=few[0])
    study = create_study(problem, population=8, min_size=2).optimize(8, progress=False)
    assert study.validate(0).examples.tolist() == [50]
    with pytest.raises(DataError, match="data has no labels"):
        study.validate(0, metric="top1")
