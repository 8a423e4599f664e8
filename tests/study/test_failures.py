"""Evaluators that fail: nothing is lost, the state says why, and the run can go on."""

from __future__ import annotations

import copy
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nemo_lab.errors import ContractError, EvaluationError, NemoError, StudyStateError
from tests.study.test_running import make_study
from tests.toy import FailingProblem, OddProblem, SlowProblem, ToyProblem
from tests.waiting import PATIENCE


@pytest.mark.parametrize("at", [0, 17, 12, 36])
def test_a_failed_run_keeps_all_and_goes_on_with_the_same_configuration(at: int) -> None:
    undisturbed = make_study(seed=2).optimize(60, progress=False).evaluations(bits=True)
    study = make_study(FailingProblem(at), seed=2)
    study.start(60)
    with pytest.raises(EvaluationError, match=f"failed after {at} evaluations: OSError: the accelerator"):
        study.wait(PATIENCE)
    assert study.state == "failed"
    error = study.snapshot.error
    assert error is not None
    assert "Traceback" in error
    assert "OSError: the accelerator went away" in error
    assert "toy.py" in error
    kept = study.evaluations(bits=True)
    pd.testing.assert_frame_equal(kept, undisturbed.iloc[:at], check_dtype=at > 0)
    study.start()
    study.wait(PATIENCE)
    assert study.state == "finished"
    assert study.snapshot.error is None
    pd.testing.assert_frame_equal(study.evaluations(bits=True), undisturbed, check_exact=True)


def test_optimize_raises_with_the_cause() -> None:
    study = make_study(FailingProblem(3))
    with pytest.raises(EvaluationError, match=r"fix the cause and call start\(\)") as caught:
        study.optimize(10, progress=False)
    assert isinstance(caught.value.__cause__, OSError)
    for call in (study.pause, study.resume):
        with pytest.raises(StudyStateError, match="the run failed: OSError: the accelerator went away"):
            call()
    study.stop()
    assert study.state == "failed"
    assert len(study.optimize(progress=False).evaluations()) == 10


def test_what_if_raises_as_optimize_does() -> None:
    study = make_study(FailingProblem(0))
    with pytest.raises(EvaluationError, match="OSError: the accelerator went away") as caught:
        study.what_if(4)
    assert isinstance(caught.value.__cause__, OSError)
    assert study.what_if(4).tolist() == ToyProblem().evaluate([[4] * 6])[0].tolist()


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_study_that_would_be_copied_says_how_it_is_kept(copied: Any) -> None:
    study = make_study().optimize(5, progress=False)
    with pytest.raises(TypeError, match=r"save_as\(path\).*load_study\(path\).*to_script\(\)") as caught:
        copied(study)
    assert isinstance(caught.value, NemoError)
    assert len(study.optimize(5, progress=False).evaluations()) == 10


def test_what_is_no_species_is_refused() -> None:
    study = make_study()
    for given in (study, study.snapshot, study.problem):
        with pytest.raises(ContractError, match="is not a species: it lacks"):
            study.add_species(given)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([[0.5, np.nan, 0.5]], "size that is not finite"),
        ([[-np.inf, 0.5, 0.5]], "loss that is not finite"),
        ([[0.5, 0.5]], r"shape \(1, 2\) instead of \(1, 3\)"),
        ([0.5, 0.5, 0.5], r"shape \(3,\) instead of \(1, 3\)"),
        (None, "evaluate returned"),
        ("half", "evaluate returned texts"),
    ],
)
def test_objectives_that_cannot_be(answer: Any, message: str) -> None:
    problem = OddProblem()
    problem.answer = answer
    study = make_study(problem)
    with pytest.raises(EvaluationError, match=message):
        study.optimize(5, progress=False)
    assert study.state == "failed"
    assert len(study.evaluations()) == 0


def test_steering_a_failed_study_works() -> None:
    study = make_study(FailingProblem(20))
    with pytest.raises(EvaluationError):
        study.optimize(30, progress=False)
    study.reseed("floor", "random", 0.5)
    assert study.what_if(4).tolist() == ToyProblem().evaluate([[4] * 6])[0].tolist()
    assert study.state == "failed", "a look aside does not mend a run"
    assert study.optimize(progress=False).state == "finished"


def test_many_threads_steer_at_once() -> None:
    study = make_study(SlowProblem())
    study.start(300)
    barrier, errors = threading.Barrier(8), []

    def steer(number: int) -> None:
        try:
            barrier.wait(PATIENCE)
            for turn in range(12):
                kind = (number + turn) % 4
                if kind == 0:
                    study.pin(f"layer{number % 3}.weight", 2 + turn % 7)
                elif kind == 1:
                    study.enqueue(2 + turn % 7)
                elif kind == 2:
                    study.reseed("floor", "random", 0.2)
                else:
                    study.what_if(4)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=steer, args=(number,), daemon=True) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads), "deadlock"
    assert errors == []
    assert study.wait(PATIENCE)
    assert study.interventions()["action"].value_counts().to_dict() == {
        "pin": 24,
        "enqueue": 24,
        "reseed": 24,
    }
    assert study.interventions()["evaluation"].is_monotonic_increasing


def test_many_threads_steer_an_idle_study() -> None:
    study = make_study().optimize(10, progress=False)
    threads = [
        threading.Thread(target=lambda: [study.enqueue(4) for _ in range(20)], daemon=True) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(study.interventions()) == 160
    assert study.snapshot.waiting == 160
    assert len(study.optimize(160, progress=False).evaluations()) == 170


def test_ctrl_c_stops_cleanly() -> None:
    script = """
        import sys
        import threading
        import nemo_lab as nl
        from tests.toy import SlowProblem

        class Telling(SlowProblem):
            def evaluate(self, bits):
                if self.calls == 20:
                    print("ready", flush=True)
                return super().evaluate(bits)

        study = nl.create_study(Telling(), species=("continuous", "floor"))
        study.optimize(100_000, progress=False)
        made = len(study.evaluations())
        print(study.state, made >= 20, not any("worker" in t.name for t in threading.enumerate()), flush=True)
        study.optimize(5, progress=False)
        print(study.state, len(study.evaluations()) - made, flush=True)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert out.splitlines() == ["idle True True", "finished 5"], err
    assert process.returncode == 0
    assert "Traceback" not in err
