"""Starting, pausing, stopping and waiting: states and counts that people can rely on."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import numpy as np
import pandas as pd
import pytest

from nemo_lab import Study, create_study
from nemo_lab.errors import ArgumentError, StudyStateError
from nemo_lab.search.archive import front_ids
from tests.toy import GatedProblem, SlowProblem, ToyProblem
from tests.waiting import PATIENCE, until

QUICK = ("continuous", "floor")


def make_study(problem: ToyProblem | None = None, seed: int = 0) -> Study:
    return create_study(
        problem or ToyProblem(), preset="paper", seed=seed, species=QUICK, population=12, min_size=2
    )


def test_optimize_blocks_and_finishes() -> None:
    study = make_study()
    assert study.state == "idle"
    assert study.optimize(30, progress=False) is study
    assert study.state == "finished"
    assert len(study.evaluations()) == 30
    study.optimize(until=45, progress=False)
    assert len(study.evaluations()) == 45
    study.optimize(evaluations=5, progress=False)
    assert len(study.evaluations()) == 50


def test_the_progress_bar_counts_evaluations(capfd: pytest.CaptureFixture[str]) -> None:
    make_study().optimize(20)
    assert "20/20" in capfd.readouterr().err


def test_start_returns_at_once_and_wait_says_when() -> None:
    problem = GatedProblem()
    study = make_study(problem)
    study.start(10)
    assert study.state == "running"
    assert problem.entered.wait(PATIENCE)
    assert not study.wait(timeout=0.05)
    assert len(study.evaluations()) == 0
    problem.gate.set()
    assert study.wait(PATIENCE)
    assert study.state == "finished"
    assert len(study.evaluations()) == 10


def test_counts_hold_while_paused() -> None:
    study = make_study(SlowProblem())
    study.start(100_000)
    until(lambda: len(study.evaluations()) >= 5)
    study.pause()
    assert study.wait(PATIENCE)
    assert study.state == "paused"
    held = len(study.evaluations())
    time.sleep(0.1)
    assert len(study.evaluations()) == held
    study.resume()
    assert study.state == "running"
    until(lambda: len(study.evaluations()) > held + 5)
    study.stop()
    assert study.wait(PATIENCE)
    assert study.state == "idle"


def test_counts_hold_after_a_stop_and_start_goes_on() -> None:
    problem = GatedProblem(free=5)
    study = make_study(problem)
    study.start(60)
    assert problem.entered.wait(PATIENCE)
    study.stop()
    study.stop()  # harmless
    problem.gate.set()
    study.wait(PATIENCE)
    held = study.evaluations()
    time.sleep(0.05)
    assert len(study.evaluations()) == len(held) < 60
    study.start()  # what is left of the budget
    study.wait(PATIENCE)
    assert study.state == "finished"
    assert len(study.evaluations()) == 60
    pd.testing.assert_frame_equal(study.evaluations().iloc[: len(held)], held)


def test_a_paused_run_can_be_stopped() -> None:
    study = make_study(SlowProblem())
    study.start(100_000)
    study.pause()
    assert study.wait(PATIENCE)
    study.stop()
    assert study.wait(PATIENCE)
    until(lambda: study.state == "idle")


def test_calls_that_do_not_fit_the_state() -> None:
    problem = GatedProblem()
    study = make_study(problem)
    for call in (study.pause, study.resume):
        with pytest.raises(StudyStateError, match=r"the study is idle.*call start\(\)"):
            call()
    study.stop()
    study.start(5)
    with pytest.raises(StudyStateError, match="already running; wait for it, or stop it first"):
        study.start(5)
    with pytest.raises(StudyStateError, match="already running"):
        study.optimize(5, progress=False)
    with pytest.raises(StudyStateError, match="cannot resume: the study is running"):
        study.resume()
    study.pause()
    problem.gate.set()
    assert study.wait(PATIENCE)
    with pytest.raises(StudyStateError, match=r"already paused; call resume\(\)"):
        study.start(5)
    study.resume()
    assert study.wait(PATIENCE)
    with pytest.raises(StudyStateError, match="the study is finished"):
        study.pause()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"evaluations": 0}, "evaluations=0; give a whole number"),
        ({"evaluations": -3}, "whole number of at least 1"),
        ({"evaluations": 2.5}, "whole number"),
        ({"until": True}, "whole number"),
        ({"evaluations": 3, "until": 8}, "give one of them"),
        ({"until": 4}, "until=4, but 4 evaluations are made"),
    ],
)
def test_budgets_that_make_no_sense(arguments: dict[str, int], message: str) -> None:
    study = make_study().optimize(4, progress=False)
    with pytest.raises(ArgumentError, match=message):
        study.start(**arguments)
    assert study.state == "finished"
    assert len(study.optimize(4, progress=False).evaluations()) == 8


def test_the_same_seed_and_steers_give_the_same_run() -> None:
    def steered(seed: int) -> Study:
        study = create_study(ToyProblem(), seed=seed, species=("continuous", "gcn"), population=12)
        study.optimize(20, progress=False)
        study.reseed("gcn", "front", 0.5)
        study.enqueue(5)
        study.optimize(15, progress=False)
        study.reseed("continuous")
        study.optimize(15, progress=False)
        return study

    one, same, other = (steered(seed).evaluations(bits=True) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one, same, check_exact=True)
    assert not one.equals(other)


def test_pausing_and_stopping_change_nothing_in_the_result() -> None:
    plain = make_study(SlowProblem(), seed=4).optimize(80, progress=False)
    study = make_study(SlowProblem(), seed=4)
    study.start(until=80)
    while study.state not in ("finished", "failed"):
        until(lambda: study.state != "running" or len(study.evaluations()) % 7 == 3)
        study.stop()
        study.wait(PATIENCE)
        if len(study.evaluations()) < 80:
            study.start(until=80)
    pd.testing.assert_frame_equal(
        study.evaluations(bits=True), plain.evaluations(bits=True), check_exact=True
    )


def test_digits_run_twice_is_bit_identical() -> None:
    tables = [
        create_study("digits", seed=3, population=16).optimize(32, progress=False).evaluations(bits=True)
        for _ in range(2)
    ]
    pd.testing.assert_frame_equal(tables[0], tables[1], check_exact=True)


def test_tables_agree_with_each_other() -> None:
    study = make_study().optimize(60, progress=False)
    table, front = study.evaluations(bits=True), study.front()
    assert table.index.tolist() == list(range(60))
    log = study.snapshot.evaluations
    assert sorted(front.index) == front_ids(log, {}).tolist()
    assert front["loss"].is_monotonic_increasing
    pd.testing.assert_frame_equal(front.sort_index(), table.loc[sorted(front.index), front.columns])
    assert set(table["species"]) == set(QUICK)
    expected = study.problem.evaluate(table[list(study.problem.node_names)].to_numpy())
    assert np.array_equal(table[list(study.problem.objective_names)].to_numpy(), expected)
    history = study.history()
    assert history.groupby("generation")["allocation"].sum().eq(12).all()
    assert "60 evaluations" in study._repr_html_()
    assert "finished, 60 evaluations" in repr(study)


def test_a_snapshot_never_changes() -> None:
    study = make_study().optimize(20, progress=False)
    early = study.snapshot
    objectives, front = early.evaluations.objectives.copy(), early.front.copy()
    study.optimize(400, progress=False)
    assert len(early.evaluations) == 20
    assert np.array_equal(early.evaluations.objectives, objectives)
    assert np.array_equal(early.front, front)
    assert study.snapshot.version > early.version


def test_no_thread_outlives_its_study() -> None:
    before = set(threading.enumerate())
    study = make_study(SlowProblem())
    study.start(100_000)
    until(lambda: len(study.snapshot.evaluations) > 2)  # noqa: F821  deleted below
    (thread,) = set(threading.enumerate()) - before
    gone = weakref.ref(study)
    del study
    gc.collect()
    assert gone() is None
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert thread not in threading.enumerate()
