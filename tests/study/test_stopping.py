"""Stopping in the middle of an evaluation: at once, and as if it had never been."""

from __future__ import annotations

import _thread
import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nemo_lab import QuantizationProblem, Study, Workload, check_interrupted, create_study
from nemo_lab.errors import EvaluationError, NemoWarning
from nemo_lab.interruption import Interrupted, interruptible
from tests.study.test_workers import SMALL, assert_same
from tests.toy import EndlessProblem, GatedProblem, ToyProblem
from tests.waiting import PATIENCE, until

QUICK: dict[str, Any] = {"species": ("continuous", "floor"), "population": 12, "min_size": 2}
OTHER = [8, 2, 7, 3, 6, 5]  # nothing that a search begins with


class Batched(ToyProblem):
    """Eight batches an evaluation; before three in a hundred it stops the run."""

    def __init__(self, seed: int) -> None:
        super().__init__(bit_widths=(2, 4, 8))
        self.study: Study | None = None
        self.rng = np.random.default_rng(seed)
        self.lock = threading.Lock()
        self.interrupted = 0

    def evaluate(self, bits: Any) -> np.ndarray:
        for _ in range(8):
            with self.lock:
                if self.study is not None and self.rng.random() < 0.03:
                    self.study.stop()
            try:
                check_interrupted()
            except Interrupted:
                self.interrupted += 1
                raise
        return super().evaluate(bits)


def run_to(study: Study, evaluations: int, stop: Callable[[], None] = lambda: None) -> Study:
    """Start as often as it takes."""
    while study.state != "finished":
        study.start(until=evaluations)
        stop()
        assert study.wait(PATIENCE)
        assert study.state in ("idle", "finished")
    return study


@pytest.mark.parametrize("workers", [1, 3])
def test_stop_does_not_wait_for_the_evaluation_in_flight(workers: int) -> None:
    problem = EndlessProblem(together=workers)
    study = create_study(problem, workers=workers, **QUICK)
    for again in (1, 2):
        problem.entered.clear()
        study.start(20)
        assert problem.entered.wait(PATIENCE)
        study.stop()
        assert study.wait(PATIENCE)
        assert (study.state, len(study.evaluations()), study.snapshot.error) == ("idle", 0, None)
        assert problem.left == again * workers
    problem.endless = False
    study.start()
    assert study.wait(PATIENCE)
    assert_same(study, create_study(ToyProblem(), **QUICK).optimize(20, progress=False))


@pytest.mark.parametrize("preset", ["paper", "default"])
@pytest.mark.parametrize("workers", [1, 3])
def test_a_run_stopped_anywhere_is_the_run_never_stopped(preset: str, workers: int) -> None:
    options: dict[str, Any] = {"preset": preset, "seed": 6, **SMALL}
    plain = create_study(ToyProblem(bit_widths=(2, 4, 8)), **options).optimize(80, progress=False)
    problem = Batched(seed=workers)
    problem.study = study = create_study(problem, workers=workers, **options)
    run_to(study, 80)
    assert problem.interrupted >= 10
    assert_same(study, plain)
    assert study.interventions().empty


@pytest.mark.parametrize("preset", ["paper", "default"])
@pytest.mark.parametrize("workers", [1, 3])
def test_digits_stopped_at_random_instants(digits: Workload, preset: str, workers: int) -> None:
    options: dict[str, Any] = {"preset": preset, "seed": 2, **SMALL}
    data = digits.data.search.inputs[:240], digits.data.search.labels[:240]  # type: ignore[union-attr]
    untouched, problem = (QuantizationProblem(digits, data=data, batch_size=16) for _ in range(2))
    plain = create_study(untouched, **options).optimize(40, progress=False)
    whole, rng, interrupted, stopped = problem.evaluate, np.random.default_rng(workers), [], []

    def evaluate(bits: Any) -> np.ndarray:
        try:
            return whole(bits)
        except Interrupted:
            interrupted.append(bits)
            raise

    def stop() -> None:
        if len(interrupted) < 40:
            stopped.append(len(interrupted))
            vain = stopped.count(len(interrupted))  # stops while the sensitivity was asked for, say
            time.sleep(rng.random() * 0.1 + 0.02 * vain)
            study.stop()

    problem.evaluate = evaluate  # type: ignore[method-assign]
    told = pytest.warns(NemoWarning, match=r"holds it again.* here, one at a time")  # it is not to be pickled
    with contextlib.nullcontext() if workers == 1 else told:
        study = create_study(problem, workers=workers, **options)
    run_to(study, 40, stop)
    assert len(interrupted) >= 5
    assert_same(study, plain)


def test_a_problem_that_never_looks_up_is_waited_for() -> None:
    problem = GatedProblem()
    study = create_study(problem, **QUICK)
    study.start(20)
    assert problem.entered.wait(PATIENCE)
    study.stop()
    assert not study.wait(0.1)
    assert study.state == "stopping"
    problem.gate.set()
    assert study.wait(PATIENCE)
    assert (study.state, len(study.evaluations())) == ("idle", 1)


def test_a_pause_lets_the_evaluation_in_flight_end_and_a_stop_after_it_does_not() -> None:
    problem = EndlessProblem()
    study = create_study(problem, **QUICK)
    study.start(20)
    assert problem.entered.wait(PATIENCE)
    study.pause()
    assert not study.wait(0.1)
    problem.endless = False
    assert study.wait(PATIENCE)
    assert (study.state, len(study.evaluations()), problem.left) == ("paused", 1, 0)
    problem.endless = True
    problem.entered.clear()
    study.resume()
    assert problem.entered.wait(PATIENCE)
    study.pause()
    study.stop()
    assert study.wait(PATIENCE)
    assert (study.state, problem.left) == ("idle", 1)


def test_a_problem_that_says_interrupted_though_nobody_asked_fails() -> None:
    class Confused(ToyProblem):
        def evaluate(self, bits: Any) -> np.ndarray:
            raise Interrupted

    with pytest.raises(EvaluationError, match="Interrupted"):
        create_study(Confused(), **QUICK).optimize(5, progress=False)


def test_a_what_if_in_flight_delays_no_stop_and_is_answered_all_the_same() -> None:
    problem = EndlessProblem()
    problem.endless = False
    study = create_study(problem, **QUICK).optimize(5, progress=False)
    study.start(100_000)
    study.pause()
    assert study.wait(PATIENCE)
    problem.endless = True
    problem.entered.clear()
    answers: list[list[float]] = []
    asking = threading.Thread(target=lambda: answers.append(study.what_if(OTHER).tolist()), daemon=True)
    asking.start()
    assert problem.entered.wait(PATIENCE)
    study.stop()
    assert study.wait(PATIENCE)
    assert study.state == "idle"
    assert answers == []
    problem.endless = False
    asking.join(PATIENCE)
    assert answers == ToyProblem().evaluate([OTHER]).tolist()


@pytest.mark.parametrize("running", [False, True])
def test_ctrl_c_leaves_a_what_if_at_once(running: bool) -> None:
    problem = EndlessProblem()
    problem.endless = False
    study = create_study(problem, **QUICK).optimize(5, progress=False)
    if running:
        problem.endless = True
        problem.entered.clear()
        study.start(50)
        assert problem.entered.wait(PATIENCE)
        study.pause()
        problem.endless = False
        assert study.wait(PATIENCE)
    done = len(study.evaluations())
    problem.endless = True
    problem.entered.clear()

    def press() -> None:
        problem.entered.wait(PATIENCE)
        _thread.interrupt_main()

    pressing = threading.Thread(target=press, daemon=True)
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012  it may come between any two of these
        pressing.start()
        study.what_if(OTHER)
    pressing.join(PATIENCE)
    until(lambda: problem.left == 1)  # nobody goes on evaluating what nobody waits for
    problem.endless = False
    if running:
        study.resume()
        assert study.wait(PATIENCE)
    else:
        study.optimize(50, progress=False)
    assert study.what_if(OTHER).tolist() == ToyProblem().evaluate([OTHER])[0].tolist()
    assert len(study.evaluations()) >= done + 45
    assert_same(study, create_study(ToyProblem(), **QUICK).optimize(55, progress=False))


def test_the_callers_wish_reaches_through_another_and_ends_with_its_body() -> None:
    asked: list[str] = []
    with interruptible(lambda: "outer" in asked), interruptible(lambda: "inner" in asked):
        check_interrupted()
        for one in ("outer", "inner"):
            asked[:] = [one]
            with pytest.raises(Interrupted):
                check_interrupted()
    check_interrupted()
    with contextlib.suppress(Interrupted), interruptible(lambda: True):
        check_interrupted()
        pd.testing.assert_index_equal(pd.Index([1]), pd.Index([2]))  # not reached
    check_interrupted()
