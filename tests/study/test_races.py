"""Races and bad company: each once hung a caller, lost a steer or falsified the log."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

from nemo_lab.errors import StudyStateError
from nemo_lab.study import create_study
from tests.toy import GatedProblem, SlowProblem, ToyProblem
from tests.waiting import PATIENCE, until

SMALL: dict[str, Any] = {"species": ("continuous", "floor"), "population": 12, "min_size": 2}


def test_pause_resume_pause_holds_and_goes_on() -> None:
    study = create_study(SlowProblem(), **SMALL)
    study.start(100_000)
    for _ in range(20):
        study.pause()
        assert study.wait(PATIENCE)
        study.resume()
        study.pause()
        assert study.wait(PATIENCE), "a resume and a pause in one breath froze the run"
        study.resume()
    done = len(study.evaluations())
    until(lambda: len(study.evaluations()) > done)
    study.stop()
    assert study.wait(PATIENCE)
    with pytest.raises(StudyStateError, match="cannot resume"):
        study.resume()


def test_starting_twice_during_a_what_if_is_refused_once() -> None:
    problem = GatedProblem()
    study = create_study(problem, **SMALL)
    asking = threading.Thread(target=lambda: [study.what_if(4) for _ in range(20)])
    asking.start()
    assert problem.entered.wait(PATIENCE)
    study.start(50)
    with pytest.raises(StudyStateError, match="already running"):
        study.start(50)
    problem.gate.set()
    asking.join(PATIENCE)
    assert study.wait(PATIENCE)
    assert len(study.evaluations()) == 50


def test_a_listener_that_raises_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    study = create_study(ToyProblem(), **SMALL)

    def broken() -> None:
        raise ValueError("a broken listener")

    study.listen(broken)
    study.optimize(20, progress=False)
    study.enqueue(4)
    study.optimize(1, progress=False)
    assert len(study.evaluations()) == 21
    assert caplog.text.count("a listener of the study failed") == 1


def test_an_evaluator_that_exits_answers_its_what_if() -> None:
    class Leaving(ToyProblem):
        def evaluate(self, bits: Any) -> np.ndarray:
            raise SystemExit("the evaluator leaves")

    study = create_study(Leaving(), **SMALL)
    with pytest.raises(SystemExit):
        study.what_if(4)
    answers: list[BaseException] = []

    def ask() -> None:
        try:
            study.what_if(4)
        except BaseException as error:
            answers.append(error)

    asking = [threading.Thread(target=ask) for _ in range(8)]
    for one in asking:
        one.start()
    for one in asking:
        one.join(PATIENCE)
    assert not any(one.is_alive() for one in asking)
    assert len(answers) == 8


def test_an_evaluator_cannot_falsify_the_log() -> None:
    class Writing(ToyProblem):
        def evaluate(self, bits: Any) -> np.ndarray:
            objectives = super().evaluate(bits)
            bits[:] = 2
            return objectives

    honest = create_study(ToyProblem(), **SMALL).optimize(40, progress=False)
    writing = create_study(Writing(), **SMALL).optimize(40, progress=False)
    assert writing.evaluations(bits=True).equals(honest.evaluations(bits=True))
    with pytest.raises(ValueError, match="read-only"):
        writing.snapshot.front[:] = 0


def test_a_script_that_ends_in_an_evaluation_ends_well() -> None:
    code = (
        "import threading, nemo_lab as nl\n"
        "problem = nl.QuantizationProblem(nl.load_workload('digits'))\n"
        "whole, entered = problem.evaluate, threading.Event()\n"
        "problem.evaluate = lambda bits: [(entered.set(), whole(bits)) for _ in range(100)][0][1]\n"
        "study = nl.create_study(problem, species=('floor',), population=4, min_size=1)\n"
        "study.start(1000)\n"
        "assert entered.wait(300)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE)
    assert (ended.returncode, ended.stderr) == (0, "")
