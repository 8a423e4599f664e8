"""A run that ends by time, or because the search has stalled."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from nemo_lab import create_study, load_study
from nemo_lab.errors import ArgumentError
from nemo_lab.study.run.limits import Limits, Stalled, Watch
from nemo_lab.widgets.markup import made, status
from tests.toy import GatedProblem, ToyProblem
from tests.waiting import PATIENCE, until

QUICK: dict[str, Any] = {"species": ("continuous", "floor"), "population": 12, "min_size": 2}


def test_a_search_has_stalled_by_hand() -> None:
    watch = Watch(Limits(stalled=Stalled(0.1, 10)))
    course = [(5, 1.0), (10, 1.05), (15, 1.11), (20, 1.2), (25, 1.21), (30, 1.3199)]
    # 15: 1.11 >= 1.1 * 1.0; 20: 1.2 >= 1.155; 25: 1.21 < 1.1 * 1.11 = 1.221
    assert [watch.over(0.0, *one) for one in course] == [False, False, False, False, True, True]


def test_what_is_seen_a_few_at_once_counts_from_the_last_before_the_window() -> None:
    watch = Watch(Limits(stalled=Stalled(0.5, 10)))
    assert not watch.over(0.0, 4, 1.0)
    assert not watch.over(0.0, 13, 1.0)  # of the last ten evaluations nobody saw the beginning yet
    assert watch.over(0.0, 14, 1.0)


def test_a_steer_begins_anew_and_a_hypervolume_of_nothing_has_not_stalled() -> None:
    watch = Watch(Limits(stalled=Stalled(0.1, 10)))
    watch.over(0.0, 1, 1.0)
    watch.restart()
    assert not watch.over(0.0, 12, 0.5)
    assert not watch.over(0.0, 21, 0.5)
    assert watch.over(0.0, 22, 0.5)
    empty = Watch(Limits(stalled=Stalled(0.1, 10)))
    assert not any(empty.over(0.0, count, 0.0) for count in range(100))


def test_time_counts_from_the_start_of_the_run() -> None:
    watch = Watch(Limits(minutes=2), seconds=100.0)
    assert [watch.over(seconds, 1, 0.5) for seconds in (100.0, 219.0, 220.0)] == [False, False, True]
    assert not Watch().over(1e9, 10**9, 0.0)


def test_a_run_ends_once_it_has_stalled_and_is_the_beginning_of_a_longer_one() -> None:
    study = create_study(ToyProblem(), **QUICK).optimize(stop_when=(0.02, 50), progress=False)
    snapshot, count = study.snapshot, len(study.evaluations())
    assert (study.state, snapshot.target, snapshot.endless) == ("finished", count, False)
    assert 50 < count < 10_000
    longer = create_study(ToyProblem(), **QUICK).optimize(count, progress=False)
    assert longer.evaluations(bits=True).equals(study.evaluations(bits=True))
    before = longer.snapshot.hypervolume
    assert before - snapshot.hypervolume == 0
    again = study.optimize(5, progress=False)  # no limit stays from the run before
    assert len(again.evaluations()) == count + 5


def test_a_budget_ends_a_run_that_has_not_stalled() -> None:
    study = create_study(ToyProblem(), **QUICK).optimize(30, stop_when="stalled", minutes=60, progress=False)
    assert (study.state, len(study.evaluations())) == ("finished", 30)


def test_minutes_are_up_after_the_evaluation_in_flight() -> None:
    study = create_study(ToyProblem(), **QUICK).optimize(minutes=1e-9, progress=False)
    assert (study.state, len(study.evaluations()), study.snapshot.target) == ("finished", 1, 1)
    study.optimize(minutes=1e-9, progress=False)
    assert len(study.evaluations()) == 2
    assert len(study.optimize(3, progress=False).evaluations()) == 5


def test_pauses_do_not_count_and_the_time_left_is_shown() -> None:
    problem = GatedProblem()
    study = create_study(problem, **QUICK)
    study.start(minutes=1)
    assert problem.entered.wait(PATIENCE)
    assert study.snapshot.endless
    assert study.snapshot.seconds_left is None  # before there is a rate
    study.pause()
    problem.gate.set()
    assert study.wait(PATIENCE)
    snapshot = study.snapshot
    assert snapshot.state == "paused"
    assert snapshot.seconds_left == pytest.approx(60 - snapshot.seconds)
    assert made(snapshot) == "1"
    assert re.search(r'aria-valuenow="\d+".*</b> · 1 evaluations · about', status(snapshot, 0))
    study.stop()
    assert study.wait(PATIENCE)


def test_a_run_without_an_end_goes_on_after_a_stop_with_the_default_budget(tmp_path: Any) -> None:
    study = create_study(ToyProblem(), storage=tmp_path / "run.sqlite", **QUICK)
    study.start(stop_when=(1e-9, 10**6))
    until(lambda: len(study.evaluations()) > 5)
    study.stop()
    assert study.wait(PATIENCE)
    count = len(study.evaluations())
    study.close()
    again = load_study(tmp_path / "run.sqlite", problem=ToyProblem())
    assert again.snapshot.endless
    assert not math.isfinite(again.snapshot.ends)
    again.optimize(progress=False)
    assert len(again.evaluations()) == count + 500


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"minutes": 0}, "a number above 0"),
        ({"minutes": float("nan")}, "a number above 0"),
        ({"stop_when": "never"}, "stalled"),
        ({"stop_when": (1.5, 100)}, "stalled"),
        ({"stop_when": (0.1, 0)}, "stalled"),
        ({"stop_when": 0.1}, "stalled"),
    ],
)
def test_what_is_no_limit_is_refused_and_nothing_begins(given: dict[str, Any], words: str) -> None:
    study = create_study(ToyProblem(), **QUICK)
    with pytest.raises(ArgumentError, match=words):
        study.start(**given)
    assert study.state == "idle"
