"""What is broken off in the middle of the study's own work: nothing is half done, and nobody is stuck."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nemo_lab import create_study, load_study
from nemo_lab.errors import EvaluationError
from nemo_lab.study.journal import Recorder, salvage
from nemo_lab.study.run.driver import Driver
from nemo_lab.study.run.events import Listeners
from nemo_lab.study.run.worker import Worker
from tests.properties.test_whole import Once, Priced, Shaky, table
from tests.toy import ToyProblem
from tests.waiting import PATIENCE

pytestmark = pytest.mark.filterwarnings("ignore::nemo_lab.NemoWarning")  # of configurations that wait
OPTIONS: dict[str, Any] = {"population": 12, "min_size": 2, "seed": 3}


def once(monkeypatch: pytest.MonkeyPatch, kind: type, name: str, *, after: bool = False) -> None:
    """Ctrl-C comes at the first call of a method, before or after what it does."""
    real, left = getattr(kind, name), [None]

    def interrupted(self: Any, *given: Any, **named: Any) -> Any:
        if left and not after:
            left.clear()
            raise KeyboardInterrupt
        found = real(self, *given, **named)
        if left:
            left.clear()
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(kind, name, interrupted)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("kind", "name"),
    [(Recorder, "note"), (Worker, "_drain"), (Worker, "_publish"), (Driver, "apply"), (Driver, "snapshot")],
)
def test_ctrl_c_anywhere_in_a_steer_parts_nothing(
    kind: type, name: str, after: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = create_study(ToyProblem(), storage=tmp_path / "run.sqlite", **OPTIONS)
    study.optimize(20, progress=False)
    node, other = study.problem.node_names[:2]
    with monkeypatch.context() as patched:
        once(patched, kind, name, after=after)
        with pytest.raises(KeyboardInterrupt):
            study.pin(node, 4)
    study.pin(other, 6)  # whoever was interrupted has given the engine back
    assert (node in study.pins) == (len(study.snapshot.interventions) == 2)
    assert study.snapshot.constraints.held == study.snapshot.ledger.constraints.held
    assert list(study.pins) == [study.problem.node_names[k] for k in study.snapshot.pins]
    study.start(20)
    assert study.wait(PATIENCE)
    study.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "run.sqlite")) as connection:
        connection.execute("DELETE FROM checkpoints")
        connection.commit()
    with contextlib.closing(load_study(tmp_path / "run.sqlite", problem=ToyProblem())) as again:
        assert table(again) == table(study)
        assert again.pins == study.pins


def test_a_candidate_that_cannot_be_asked_for_gives_back_those_before_it(tmp_path: Path) -> None:
    problem = Priced(Once())
    own = Shaky(problem, Once())
    path = tmp_path / "run.sqlite"
    study = create_study(problem, species=[own], workers=3, storage=path, **OPTIONS)
    study.optimize(4, progress=False)
    own.once = Once("decode", 2)
    with pytest.raises(EvaluationError, match="decode went wrong"):
        study.optimize(6, progress=False)
    with contextlib.closing(load_study(path, read_only=True)) as seen:
        assert seen.state == "failed"
    study.pin(problem.node_names[0], 4)
    study.save_as(tmp_path / "other.sqlite")
    study.optimize(until=10, progress=False)
    study.close()
    with contextlib.closing(load_study(tmp_path / "other.sqlite", problem=problem, species=[own])) as again:
        assert table(again) == table(study)


def test_a_start_without_a_thread_to_be_had_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Priced(Once())
    own = Shaky(problem, Once("decode", 1))
    study = create_study(problem, species=[own], **OPTIONS)
    with pytest.raises(EvaluationError):
        study.optimize(5, progress=False)

    def none_left(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", none_left)
        with pytest.raises(RuntimeError, match="new thread"):
            study.start(100)
    study.set_budget(7)
    assert (study.state, study.snapshot.target) == ("failed", 7)
    with pytest.raises(EvaluationError):
        study.wait(PATIENCE)
    assert len(study.optimize(until=7, progress=False).evaluations()) == 7


def test_evaluations_beside_one_that_cannot_be_begun_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, begun = threading.Event(), []
    start, join = threading.Thread.start, threading.Thread.join

    class Gated(ToyProblem):
        def evaluate(self, bits: Any) -> Any:
            gate.wait(PATIENCE)
            return super().evaluate(bits)

    def two(self: threading.Thread) -> None:
        if "evaluator" in self.name:
            if len(begun) == 2:
                raise RuntimeError("can't start new thread")
            begun.append(self)
        start(self)

    def joined(self: threading.Thread, timeout: float | None = None) -> None:
        if self in begun:
            gate.set()
        join(self, timeout)

    monkeypatch.setattr(threading.Thread, "start", two)
    monkeypatch.setattr(threading.Thread, "join", joined)
    try:
        study = create_study(Gated(), workers=3, **OPTIONS)
        with pytest.raises(EvaluationError, match="new thread"):
            study.optimize(20, progress=False)
        assert (len(begun), len(study.evaluations())) == (2, 0)
        assert not any(thread.is_alive() for thread in begun)
    finally:
        gate.set()


def test_listeners_that_come_while_others_go_are_kept() -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(50):
            listeners, called = Listeners(), []
            old = [lambda: None for _ in range(30)]
            for one in old:
                listeners.listen(one)
            new = [partial(called.append, i) for i in range(30)]
            ready = threading.Barrier(2)

            def go(old: list[Any] = old, ready: Any = ready, listeners: Listeners = listeners) -> None:
                ready.wait(PATIENCE)
                for one in old:
                    listeners.forget(one)

            thread = threading.Thread(target=go)
            thread.start()
            ready.wait(PATIENCE)
            for one in new:
                listeners.listen(one)
            thread.join()
            listeners.tell_listeners()
            assert called == list(range(30))
    finally:
        sys.setswitchinterval(before)


def test_what_was_taken_over_is_counted_on_after_a_study_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    for _ in range(2):
        with contextlib.closing(create_study(ToyProblem(), storage=path, **OPTIONS)) as study:
            study.optimize(20, progress=False)
    with contextlib.closing(load_study(path, problem=ToyProblem())) as again:
        assert again.snapshot.reused == study.snapshot.reused == 20
        again.pin(again.problem.node_names[0], 4)
    with contextlib.closing(load_study(path, read_only=True)) as seen:
        assert seen.snapshot.reused == 20


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("state", [True, False])
def test_a_log_that_is_cut_anywhere_goes_on_to_the_table_of_the_undisturbed_run(
    workers: int, state: bool, tmp_path: Path
) -> None:
    path, count = tmp_path / "run.sqlite", 42
    study = create_study(
        ToyProblem(), workers=workers, storage=path, species=["floor", "surrogate"], **OPTIONS
    )
    study.add_species("integer")
    study.optimize(count, progress=False)
    study.close()
    ends = [one.evaluations for one in study.snapshot.history]
    for cut in sorted({1, 19, 20, 21, *ends} - {count}):
        whole, saved = tmp_path / f"cut{cut}.sqlite", tmp_path / f"saved{cut}.sqlite"
        with (
            contextlib.closing(sqlite3.connect(path)) as old,
            contextlib.closing(sqlite3.connect(whole)) as new,
        ):
            old.backup(new)
            new.execute("UPDATE evaluations SET crc = crc + 1 WHERE number = ?", (cut,))
            if not state:
                new.execute("DELETE FROM checkpoints")
                new.execute("UPDATE studies SET status_crc = status_crc + 1")
            new.commit()
        salvage(whole, saved)
        for until in (cut, count):
            with contextlib.closing(load_study(saved, problem=ToyProblem())) as again:
                if until == cut:
                    assert len(again.evaluations()) == cut
                    again.enqueue(4)  # steered at rest, as any other
                    again.undo()
                    again.save_as(tmp_path / f"other{cut}.sqlite")
                    continue
                if until > len(again.evaluations()):
                    again.optimize(until=until, progress=False)
        assert len(again.evaluations()) == count
        assert table(again) == table(study), cut
