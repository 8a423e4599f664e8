"""Held-out accuracy: the interval by hand, and what a study tells."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nemo_lab import QuantizationProblem, Workload, correct_bias, create_study
from nemo_lab.errors import ArgumentError, DataError, UnknownNameError
from nemo_lab.objective import MEASURED, Objective
from nemo_lab.plots.front_columns import front_columns
from nemo_lab.plots.front_info import front_info
from nemo_lab.search.objective import objectives_of
from nemo_lab.study.results.validation import Validation, wilson
from tests.toy import ToyProblem


def test_the_interval_by_hand() -> None:
    # 90 of 100: middle (0.9 + 0.0192) / 1.0384, half 1.96 sqrt(0.0009 + 0.000096) / 1.0384
    found = wilson(90, 100)
    assert found == pytest.approx((0.82563, 0.94477), abs=1e-5)
    assert wilson(0, 10)[0] == 0
    assert wilson(10, 10)[1] == pytest.approx(1)
    said = Validation(MEASURED["top1"], 0.9, *found, 100)
    assert str(said) == "90.00% (82.6% to 94.5%, 100 examples)"


def test_the_front_is_validated_on_held_out_images(digits: Workload) -> None:
    problem = QuantizationProblem(digits)
    study = create_study(problem, population=8, min_size=2).optimize(20, progress=False)
    seen: list[int] = []
    study.listen(lambda: seen.append(1))
    frame = study.validate()
    assert list(frame.index) == list(study.front().index)
    assert seen, "nobody was told"
    assert digits.data is not None
    held_out = digits.data.held_out
    for config, row in frame.iterrows():
        error = problem.error(study.config(int(config)), held_out)[0]  # type: ignore[arg-type]
        assert row.held_out_accuracy == pytest.approx(1 - error)
        assert row.low <= row.held_out_accuracy <= row.high
        assert row.examples == len(held_out)
        assert row.searched_accuracy == 1 - study.evaluations().task_error[config]
    assert set(study.validated) == set(frame.index)


def test_data_of_ones_own_and_errors(digits: Workload) -> None:
    study = create_study(digits, population=8, min_size=2).optimize(9, progress=False)
    assert digits.data is not None
    few = (digits.data.held_out.inputs[:40], digits.data.held_out.labels[:40])
    assert study.validate(3, few).examples.tolist() == [40]
    assert study.validate([]).empty
    with pytest.raises(UnknownNameError, match="99"):
        study.validate([3, 99])
    with pytest.raises(ArgumentError, match=r"cannot be validated; .*error\(bits, data, metric=, count=\)"):
        create_study(ToyProblem(), population=8, min_size=2).optimize(9, progress=False).validate()
    bare = Workload.from_module(digits.module, np_zeros(digits), name="bare")
    images = digits.data.calibration.inputs
    alone = QuantizationProblem(bare, calibration=images, data=few)
    with pytest.raises(DataError, match=r"no held-out images; pass data="):
        create_study(alone, population=8, min_size=2).optimize(8, progress=False).validate(0)


def np_zeros(workload: Workload) -> object:
    import torch

    return torch.from_numpy(np.zeros(workload.example_shapes[0], dtype=np.float32))


def doubt(outputs: Any, labels: Any) -> Any:
    return 1 - outputs.softmax(1).amax(1)


def another_doubt() -> Any:
    def doubt(outputs: Any, labels: Any) -> Any:
        return outputs.softmax(1).amin(1)

    return doubt


def test_only_what_was_searched_stands_beside_what_was_searched(digits: Workload) -> None:
    problem = QuantizationProblem(digits, metric=["top1", doubt])
    study = create_study(problem, population=8, min_size=2).optimize(9, progress=False)
    columns = {
        metric: [
            name for name in study.validate([3], metric=metric) if name.split("_")[0] in ("searched", "held")
        ]
        for metric in (None, "top1", doubt, another_doubt(), "top5", lambda o, y: 0.5)
    }
    assert list(columns.values()) == [
        ["searched_accuracy", "held_out_accuracy"],
        ["searched_accuracy", "held_out_accuracy"],
        ["searched_doubt", "held_out_doubt"],
        ["held_out_doubt"],
        ["held_out_top5_accuracy"],
        ["held_out_lambda"],
    ]
    with pytest.raises(ArgumentError, match="2 metrics, where one is measured at a time"):
        study.validate([3], metric=["top5", "kl"])


def test_a_problem_of_ones_own_says_what_it_measures() -> None:
    class Own(ToyProblem):
        def error(self, bits: Any, data: Any, metric: Any = None, *, count: bool = False) -> Any:
            return np.full(len(bits), 0.25), 40

        def error_objective(self, metric: Any = None) -> Objective:
            return self.objectives[1] if metric == "size" else super().error_objective(metric)

    problem = Own()
    problem.objectives = tuple(replace(one, metric=one.name) for one in objectives_of(problem))
    study = create_study(problem, population=8, min_size=2).optimize(9, progress=False)
    name = problem.objective_names[1]
    assert list(study.validate([3], (), "size"))[:2] == [f"searched_{name}", f"held_out_{name}"]
    assert "searched" not in "".join(study.validate([3], (), "top1"))
    assert "held_out_own" in study.validate([3], (), "own")


def test_tuned_configurations_are_validated_before_and_after(digits: Workload) -> None:
    study = create_study(digits, population=8, min_size=2).optimize(12, progress=False)
    config = int(study.front().index[-1])
    tuned = correct_bias(study.problem, study.config(config))
    frame = study.validate(tuned=tuned)
    assert list(frame.index) == [config]
    assert digits.data is not None
    (row,) = frame.to_dict("records")
    assert row["tuned_accuracy"] == pytest.approx(1 - tuned.error(digits.data.held_out))
    assert row["tuned_low"] <= row["tuned_accuracy"] <= row["tuned_high"]
    assert study.tuned[config].value == row["tuned_accuracy"]
    assert "tuned_accuracy" not in study.validate()
    more = study.validate([0 if config else 1, config], tuned=[tuned])
    assert more.tuned_accuracy.isna().tolist() == [True, False]

    info = front_info(study.snapshot, study.problem, ["a"] * 6, study.validated, study.tuned)
    held = front_columns(info)["held"]
    assert held["marker"].count("asterisk") == 1
    at = held["marker"].index("asterisk")
    assert held["y"][at] == row["tuned_accuracy"]
    assert held["text"][at].endswith(", tuned")


@pytest.mark.parametrize("given", [3, "digits", [None], object()], ids=["3", "text", "None", "object"])
def test_what_was_not_tuned_is_refused(digits: Workload, given: Any) -> None:
    study = create_study(digits, population=8, min_size=2).optimize(2, progress=False)
    with pytest.raises(ArgumentError, match="give what finetune or correct_bias returned"):
        study.validate(tuned=given)
    other = correct_bias(QuantizationProblem(digits, per_channel=True), 8)
    for tuned in (other, correct_bias(study.problem, 7)):
        if tuned is not other and (study.snapshot.evaluations.bits == 7).all(axis=1).any():
            continue
        with pytest.raises(ArgumentError, match="not of a configuration of this study"):
            study.validate(tuned=tuned)
