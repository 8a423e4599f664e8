"""Dashboards that nobody looks at any more keep no thread, and no action is lost on the way."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

from nemo_lab import Dashboard, create_study
from nemo_lab.widgets.view.publisher import BREATH, RATE, Publisher
from tests.toy import EndlessProblem, ToyProblem
from tests.waiting import PATIENCE
from tests.widgets.conftest import SMALL, Open
from tests.widgets.watching import button, column, control, figure, until, words

SETUP = """
import threading
import nemo_lab as nl
from tests.toy import SlowProblem
from tests.waiting import until
from tests.widgets.watching import words

options = dict(species=("continuous", "floor"), population=12, min_size=2)
problem = SlowProblem()
problem.seconds = 0.05  # leaves the kernel time for its dashboards
study = nl.create_study(problem, **options)

def threads(name):
    return sum(one.name.startswith("nemo_lab " + name) for one in threading.enumerate())

def settled(expected, *names):
    until(lambda: sum(map(threads, names)) == expected, lambda: str(threading.enumerate()))
    return expected
"""


@pytest.fixture(scope="module")
def kernel() -> Iterator[BlockingKernelClient]:
    manager, client = start_new_kernel(kernel_name="python3")
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def run(kernel: BlockingKernelClient, code: str, cell: str) -> str:
    """What a cell prints, run as JupyterLab does: with the cell's id."""
    content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False}
    message: Any = kernel.session.msg("execute_request", content, metadata={"cellId": cell})
    kernel.shell_channel.send(message)
    printed = ""
    while True:
        answer = kernel.get_iopub_msg(timeout=PATIENCE)
        if answer["parent_header"].get("msg_id") != message["header"]["msg_id"]:
            continue
        kind, said = answer["msg_type"], answer["content"]
        if kind == "stream" and said["name"] == "stdout":
            printed += said["text"]
        assert kind != "error", "\n".join(said["traceback"])
        if kind == "status" and said["execution_state"] == "idle":
            return printed.strip()


def ours(name: str) -> set[threading.Thread]:
    return {one for one in threading.enumerate() if one.name == f"nemo_lab {name}"}


def test_a_cell_that_runs_again_takes_its_dashboard_away(kernel: BlockingKernelClient) -> None:
    run(kernel, SETUP, "setup")
    for _ in range(3):
        run(kernel, "dashboard = nl.Dashboard(study)\ndashboard", "one")
    run(kernel, "both = [nl.Dashboard(study), nl.Dashboard(study)]", "two")
    run(kernel, "study.start(100_000)", "start")
    count = "print(settled({0}, 'publisher'))"
    assert run(kernel, count.format(3), "count") == "3"
    run(kernel, "dashboard = nl.Dashboard(study)\ndashboard", "one")
    run(kernel, "both = nl.Dashboard(study)", "two")
    assert run(kernel, count.format(2), "count") == "2"
    run(kernel, "study.stop()", "stop")
    assert run(kernel, "print(settled(0, 'publisher', 'background', 'worker'))", "count") == "0"
    assert "ready" in run(kernel, "print(words(dashboard.controls))", "look")


def test_an_idle_dashboard_keeps_no_thread_and_wakes_again(open_dashboard: Open) -> None:
    before = threading.enumerate()
    dashboards = [open_dashboard(ToyProblem()) for _ in range(3)]
    for evaluations in (7, 14, 21):
        until(lambda: ours("publisher") | ours("background") <= set(before))
        for one in dashboards:
            control(one.controls, "Evaluations").value = 7
            button(one, "Start").click()
        for one in dashboards:
            until(lambda one=one, n=evaluations: f"{n} of {n} evaluations" in words(one.controls))


def test_no_wake_is_lost_between_two_threads() -> None:
    state, drawn, overlapping = 0, [0], []
    busy = threading.Lock()

    def draw() -> None:
        overlapping.append(not busy.acquire(blocking=False))
        drawn[0] = state
        busy.release()

    before = ours("publisher")
    publisher = Publisher(draw)
    # around the moments at which the thread gives up, when it is behind and when it is not
    for pause in (0.0, 0.095, 0.1, 0.105, 0.11, 0.2, 0.225, 0.23, 0.235, 0.24, 0.3):
        for _ in range(3):
            state += 1
            waking = [threading.Thread(target=publisher.wake) for _ in range(4)]
            for one in waking:
                one.start()
            until(lambda: drawn[0] == state)  # noqa: B023
            time.sleep(pause)
    assert not any(overlapping)
    publisher.close()
    state += 1
    publisher.wake()
    time.sleep(0.05)
    assert drawn[0] == state - 1
    assert ours("publisher") <= before


def test_what_a_background_action_reports_is_not_wiped_by_the_button_that_began_it() -> None:
    notices = list[str]()
    publisher = Publisher(lambda: None)

    def fail() -> None:
        raise ValueError("nothing is held out")

    def begin() -> None:
        publisher.in_background(fail, lambda what: notices.append(str(what)))
        until(lambda: not ours("background"))  # it has failed before the button returns

    publisher.now(begin, lambda what: notices.append(str(what)))
    until(lambda: len(notices) == 2)
    assert notices == ["", "nothing is held out"]
    publisher.close()


def test_drawings_that_come_late_are_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that only drawing and sleeping move: the mean rate holds, and no burst goes on for long."""
    now, drawn, late = [100.0], list[float](), {20: 0.5, 40: 60.0}

    class Clock:
        monotonic = staticmethod(lambda: now[0])

        @staticmethod
        def sleep(seconds: float) -> None:
            now[0] += seconds

    def draw() -> None:
        drawn.append(now[0])
        now[0] += late.get(len(drawn), 0.01)
        if len(drawn) < 60:
            publisher.wake()

    monkeypatch.setattr("nemo_lab.widgets.view.publisher.time", Clock)
    before = ours("publisher")
    publisher = Publisher(draw)
    publisher.wake()
    until(lambda: len(drawn) == 60 and ours("publisher") <= before)
    waits = np.diff(drawn)
    beat, breath = 1 / RATE, 0.01 + BREATH
    np.testing.assert_allclose(waits[10:19], beat)
    np.testing.assert_allclose(waits[19:21], [0.5 + BREATH, breath])
    assert drawn[30] - drawn[18] == pytest.approx(12 * beat)  # what was lost is caught up
    np.testing.assert_allclose(waits[39:48], [60 + BREATH, *[breath] * 8])  # of a minute only a second is
    np.testing.assert_allclose(waits[50:], beat)


def test_a_closed_dashboard_leaves_its_references_half_way() -> None:
    before = ours("background")
    problem = EndlessProblem()
    dashboard = Dashboard(problem, **SMALL)
    assert problem.entered.wait(PATIENCE)
    dashboard.close()
    until(lambda: ours("background") <= before)
    problem.endless = False
    assert dashboard.study.optimize(10, progress=False).state == "finished"


def test_stop_during_the_references_is_prompt_and_they_come_later(open_dashboard: Open) -> None:
    problem = EndlessProblem()
    dashboard = open_dashboard(create_study(problem, **SMALL))
    assert problem.entered.wait(PATIENCE)
    dashboard.study.start(100)
    button(dashboard, "Stop").click()
    assert dashboard.study.wait(PATIENCE)
    assert dashboard.study.state == "idle"
    problem.endless = False
    front = figure(dashboard, "Pareto front")
    until(lambda: len(column(front, "references", "text")) == 3)
