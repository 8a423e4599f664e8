"""Threads that nobody needs any more: after ``del``, at the end of a script, after Ctrl-C."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import textwrap
import threading
import weakref
from typing import Any

import pytest

from nemo_lab import create_study
from tests.toy import EndlessProblem
from tests.waiting import PATIENCE, until

QUICK: dict[str, Any] = {"species": ("continuous", "floor"), "population": 12, "min_size": 2}
ENDLESS = """
    import atexit, sys, threading
    last = []
    atexit.register(lambda: [one() for one in last])  # called after what is registered later
    import nemo_lab as nl
    from tests.toy import EndlessProblem
    from tests.waiting import PATIENCE, until, waits

    problem = EndlessProblem(together=int(sys.argv[1]))
    options = {"species": ("continuous", "floor"), "population": 12, "min_size": 2}
    study = nl.create_study(problem, workers=int(sys.argv[1]), **options)
"""


def ours() -> set[threading.Thread]:
    return {one for one in threading.enumerate() if one.name.startswith("nemo_lab")}


def script(code: str, workers: int, interrupt: bool = False) -> list[str]:
    """Lines that a script prints; pressed Ctrl-C at its first line if wanted. It must end well."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(ENDLESS) + textwrap.dedent(code), str(workers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        lines = []
        if interrupt:
            assert process.stdout is not None
            lines.append(process.stdout.readline().strip())
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert (process.returncode, err) == (0, "")
    return [*lines, *out.splitlines()]


@pytest.mark.parametrize("workers", [1, 3])
def test_a_study_that_is_gone_leaves_its_evaluation_and_its_threads(workers: int) -> None:
    before = ours()
    problem = EndlessProblem(together=workers)
    study = create_study(problem, workers=workers, **QUICK)
    study.start(100)
    assert problem.entered.wait(PATIENCE)
    gone = weakref.ref(study)
    del study
    gc.collect()
    assert gone() is None
    until(lambda: ours() <= before)
    assert problem.left == workers


@pytest.mark.parametrize("workers", [1, 3])
def test_a_script_ends_in_the_middle_of_an_evaluation(workers: int) -> None:
    code = """
        study.start(100)
        problem.entered.wait(PATIENCE)
        print(study.state, flush=True)
    """
    assert script(code, workers) == ["running"]


@pytest.mark.parametrize("workers", [1, 3])
def test_ctrl_c_in_optimize_leaves_the_evaluation(workers: int) -> None:
    code = """
        def tell():
            problem.entered.wait(PATIENCE)
            print("ready", flush=True)

        telling = threading.Thread(target=tell)
        telling.start()
        study.optimize(100, progress=False)
        telling.join()
        print(study.state, len(study.evaluations()), problem.left)
        print(sum(one.name.startswith("nemo_lab evaluator") for one in threading.enumerate()))
        problem.endless = False
        print(study.optimize(20, progress=False).state, len(study.evaluations()))
    """
    expected = ["ready", f"idle 0 {workers}", "0", "finished 20"]
    assert script(code, workers, interrupt=True) == expected


def test_a_script_ends_while_another_thread_asks_what_if() -> None:
    code = """
        def ask():
            try:
                study.what_if([8, 2, 7, 3, 6, 5])
            except BaseException as error:
                print(type(error).__name__)

        problem.endless = False
        study.optimize(5, progress=False)
        problem.endless = True
        problem.entered.clear()
        study.start(100)
        problem.entered.wait(PATIENCE)
        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        until(lambda: waits(asking))
        print(len(study.evaluations()))
        last.append(lambda: print(asking.join(PATIENCE), asking.is_alive()))
    """
    assert script(code, 1) == ["5", "Interrupted", "None False"]
