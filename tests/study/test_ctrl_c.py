"""Ctrl-C at any instant of any call: it is done or it is not, and nobody after it waits in vain."""

from __future__ import annotations

import _thread
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nemo_lab.interruption import Interrupted, check_interrupted
from nemo_lab.study.run.sheltered import sheltered
from tests.waiting import PATIENCE

CALLS = {
    "steers": [
        "study.enqueue(rng.choice([2, 3, 4, 8]))",
        "study.pin(node, rng.choice([3, 4, 5]))",
        "study.unpin()",
        "study.reseed('floor', 'random', 0.3)",
        "study.share('floor', 0.4)",
        "study.undo() if len(study.interventions()) else None",
    ],
    "runs": [
        "study.start(3)",
        "study.wait(0.001)",
        "study.stop()",
        "study.pin(node, rng.choice([3, 4, 5]))",
        "study.optimize(2, progress=False)",
        "study.what_if(4)",
    ],
}
SCRIPT = """
import random, signal, sys, warnings
import nemo_lab as nl
from nemo_lab.errors import StudyStateError
from tests.scripts import made_by
from tests.toy import ToyProblem

warnings.simplefilter("ignore", nl.NemoWarning)
signal.signal(signal.SIGALRM, signal.default_int_handler)  # as Ctrl-C
problem, rng, left = ToyProblem(), random.Random(0), 0
node = problem.node_names[0]
calls = [compile(call, call, "eval") for call in {calls!r}]
path = sys.argv[1] + "/run.sqlite"
study = nl.create_study(
    problem, species=("continuous", "floor"), population=12, min_size=2, storage=path
)
study.optimize(14, progress=False)
for _ in range({count}):
    call = rng.choice(calls)
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, 2e-5 + rng.random() ** 2 * 3e-3)
            eval(call)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        left += 1
    except StudyStateError:
        pass
study.stop()
assert study.wait(300)
study.optimize(5, progress=False)
text = study.to_script().replace("problem = ...", "problem = given").replace("print(", "(")
text = text.replace("optimize(", "optimize(progress=False, ")
study.close()
for other in (made_by(text, given=problem), nl.load_study(path, problem=problem)):
    assert other.snapshot.evaluations.bits.tolist() == study.snapshot.evaluations.bits.tolist()
    assert other.pins == study.pins
print(left)
"""


@pytest.mark.parametrize("kind", CALLS)
def test_ctrl_c_at_random_instants_of_calls_leaves_a_study_that_goes_on(kind: str, tmp_path: Path) -> None:
    code = SCRIPT.format(calls=CALLS[kind], count=600)
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=2 * PATIENCE
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 60


def test_work_is_done_once_where_ctrl_c_cannot_come_and_its_answer_or_error_given() -> None:
    seen: list[threading.Thread] = []

    @sheltered
    def work(number: int, *, wrong: bool = False) -> int:
        seen.append(threading.current_thread())
        if wrong:
            raise ValueError("no such number")
        return sheltered(lambda: number + 1)()

    assert work(3) == 4
    with pytest.raises(ValueError, match="no such number"):
        work(3, wrong=True)
    assert len(seen) == 2
    assert threading.main_thread() not in seen


@sheltered
def look_up(begun: threading.Event, ended: list[bool]) -> None:
    """Work that goes on until it is interrupted."""
    begun.set()
    try:
        while True:
            check_interrupted()
            threading.Event().wait(0.001)
    except Interrupted:
        ended.append(True)
        raise


def test_ctrl_c_ends_work_that_looks_up_and_waits_until_it_has() -> None:
    ended: list[bool] = []
    begun = threading.Event()

    def press() -> None:
        begun.wait(PATIENCE)
        _thread.interrupt_main()

    pressing = threading.Thread(target=press, daemon=True)
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012  it may come between any two of these
        pressing.start()
        look_up(begun, ended)
    assert ended == [True]


@pytest.mark.parametrize("comes", ["before the thread", "after it has begun", "before it begins"])
def test_ctrl_c_while_the_thread_is_being_started(comes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python raises it in ``Thread.start``, too, whose thread may have begun by then, or may begin later."""
    start, ended, begun = threading.Thread.start, list[bool](), threading.Event()
    late: list[threading.Thread] = []

    def interrupted(thread: threading.Thread) -> None:
        if comes == "after it has begun":
            start(thread)
            assert begun.wait(PATIENCE)
        elif comes == "before it begins":
            late.append(thread)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            look_up(begun, ended)
    for thread in late:
        start(thread)
        thread.join(PATIENCE)
    assert begun.is_set() == bool(ended) == (comes == "after it has begun")
