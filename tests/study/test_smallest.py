"""The least cost that has what is needed."""

from __future__ import annotations

import pytest

from nemo_lab import QuantizationProblem, Study, create_study
from nemo_lab.errors import ArgumentError, UnknownNameError
from tests.toy import ToyProblem


@pytest.fixture(scope="module")
def study(digits_problem: QuantizationProblem) -> Study:
    return create_study(digits_problem, species=("continuous", "integer"), seed=3).optimize(
        80, progress=False
    )


@pytest.mark.parametrize("accuracy", [0.3, 0.8, 0.95])
@pytest.mark.parametrize("by", [None, "bitop_ratio"])
def test_it_is_the_least_of_those_that_have_it(study: Study, accuracy: float, by: str | None) -> None:
    found = study.smallest(accuracy=accuracy, by=by)
    front = study.front()
    cost = by or "model_ratio"
    expected = front[front.task_error <= 1 - accuracy][cost].min()
    assert found[cost].item() == expected
    assert front.loc[found.index].equals(found)


def test_other_needs_and_units_count_too(study: Study) -> None:
    front = study.front()
    row = front.sort_values("bitop_ratio").iloc[len(front) // 2]
    found = study.smallest(accuracy=0.5, bitop_ratio=float(row.bitop_ratio))
    assert found.bitop_ratio.item() <= row.bitop_ratio
    megabytes = study.smallest(model_mb=1.0, by="task_error")
    assert megabytes.task_error.item() == front.task_error.min()


def test_held_out_it_is_the_first_that_holds(study: Study) -> None:
    found = study.smallest(accuracy=0.9, held_out=True)
    (config,) = found.index
    assert found.held_out_accuracy.item() >= 0.9
    assert found.low.item() < found.held_out_accuracy.item() < found.high.item()
    assert found.examples.item() == 300
    front = study.front().sort_values("model_ratio", kind="stable")
    smaller = front[(front.task_error <= 0.1) & (front.model_ratio < found.model_ratio.item())].index
    assert all(study.validated[one].value < 0.9 for one in smaller)
    assert study.validated[config].value == found.held_out_accuracy.item()


def test_where_none_has_it_the_nearest_is_named_and_can_be_asked_for(study: Study) -> None:
    with pytest.raises(ArgumentError, match="with the rest as it is, there is accuracy") as caught:
        study.smallest(accuracy=0.999)
    best = study.front().task_error.min()
    assert f"{1 - best:.2%}" in str(caught.value)
    assert study.smallest(accuracy=1 - best).task_error.item() == best
    with pytest.raises(ArgumentError, match=r"on held-out examples; there accuracy is [\d.]+% at best"):
        study.smallest(accuracy=1 - best, held_out=True, model_ratio=study.front().model_ratio.max())
    with pytest.raises(UnknownNameError, match="did you mean 'accuracy'"):
        study.smallest(acuracy=0.5)
    with pytest.raises(ArgumentError, match="by='size'"):
        study.smallest(accuracy=0.5, by="size")


def test_an_empty_front_says_so() -> None:
    with pytest.raises(ArgumentError, match="the front is still empty; start the study"):
        create_study(ToyProblem()).smallest(loss=0.5)
