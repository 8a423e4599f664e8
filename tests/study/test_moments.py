"""A run as it stood before: against what the study said then."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest

from nemo_lab import create_study
from nemo_lab.errors import ArgumentError
from nemo_lab.study import Snapshot, past
from tests.toy import ToyProblem


def test_the_past_is_what_the_study_said_then() -> None:
    study = create_study(ToyProblem(), species=("continuous", "floor", "integer"), population=12, min_size=2)
    then: list[Snapshot] = [study.snapshot]
    steers: list[Any] = [
        lambda: study.pin({"layer0.weight": 4, "layer1.input": (2, 4)}),
        lambda: study.constrain("size <= 0.2"),
        study.undo,
        study.redo,
        study.unpin,
        lambda: study.reseed("floor", "random", 0.5),
        study.undo,
        study.undo,
        lambda: study.aspire(loss=0.5),
        study.undo,
        study.redo,
        lambda: study.constrain(),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, steer in enumerate(steers, 1):
            study.optimize(until=20 * number, progress=False)
            then.append(study.snapshot)
            steer()
    study.optimize(until=20 * len(steers) + 20, progress=False)
    for before in then[1:]:
        count = len(before.evaluations)
        # a steer made after so many evaluations counts from there on
        shown = past(study.snapshot, count, study.problem)
        assert len(shown.evaluations) == count
        assert np.array_equal(shown.evaluations.bits, before.evaluations.bits)
    for before, after in itertools.pairwise(then[1:]):
        count = len(after.evaluations) - 1
        shown = past(study.snapshot, count, study.problem)
        assert shown.constraints == after.constraints  # in force since the steer after ``before``
        assert [one.action for one in shown.interventions] == [one.action for one in after.interventions]
        whole = past(study.snapshot, len(after.evaluations), study.problem)
        assert len(whole.history) >= len(before.history)
    last = study.snapshot
    assert past(last, len(last.evaluations), study.problem) is last


def test_front_and_hypervolume_of_the_past_are_those_of_a_shorter_run() -> None:
    options: dict[str, Any] = {"species": ("continuous", "floor"), "population": 12, "min_size": 2, "seed": 3}
    long = create_study(ToyProblem(), **options).optimize(90, progress=False)
    for count in (1, 7, 12, 40, 89):
        short = create_study(ToyProblem(), **options).optimize(count, progress=False)
        shown = past(long.snapshot, count, long.problem)
        assert sorted(shown.front) == sorted(short.snapshot.front)
        assert shown.hypervolume == pytest.approx(short.snapshot.hypervolume)
    nothing = past(long.snapshot, 0, long.problem)
    assert len(nothing.evaluations) == len(nothing.front) == 0
    assert nothing.hypervolume == 0


@pytest.mark.parametrize("evaluations", ["a", -1, 1.5, None])
def test_a_moment_that_cannot_be_is_refused(evaluations: Any) -> None:
    study = create_study(ToyProblem(), species=("floor",), population=8, min_size=2)
    with pytest.raises(ArgumentError, match="give a whole number of at least 0"):
        past(study.snapshot, evaluations, study.problem)
