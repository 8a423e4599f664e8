"""Who may use torch when: nobody is kept for long, nobody waits for one that waits for him."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, fx, nn

from nemo_lab import Workload, check_interrupted, create_study, exclusion
from nemo_lab.errors import TraceError
from nemo_lab.exclusion import alone, computing, tracing
from nemo_lab.interruption import Interrupted, interruptible
from tests.toy import EndlessProblem, ToyProblem
from tests.waiting import PATIENCE, waits

OWN: dict[str, Any] = {"species": ("continuous", "floor"), "population": 12, "min_size": 2}


class Looks(nn.Module):
    """A network that torch.export alone can trace."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Any:
        if x.shape[1] != 4:
            raise ValueError("four, please")
        return self.head(x)


def trace() -> str:
    return Workload.from_module(Looks(), torch.ones(1, 4)).traced_by


def began(work: Callable[[], object]) -> threading.Thread:
    """A thread at work, which can be interrupted as its maker can."""
    thread = threading.Thread(target=copy_context().run, args=(work,), daemon=True)
    thread.start()
    return thread


def have_ended(*threads: threading.Thread) -> bool:
    for thread in threads:
        thread.join(PATIENCE)
    return not any(thread.is_alive() for thread in threads)


def until(come_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not come_true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_many_compute_at_once_and_one_has_it_alone() -> None:
    inside, most, together = [0], [0], threading.Barrier(3, timeout=PATIENCE)
    lonely: list[int] = []

    def compute() -> None:
        with computing(), computing():
            together.wait()
        for _ in range(300):
            with computing():
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0)
                inside[0] -= 1

    def have_it_alone() -> None:
        for _ in range(20):
            with tracing(), alone(), computing(), tracing(), alone():
                lonely.append(inside[0])
                time.sleep(0.001)
                lonely.append(inside[0])

    assert have_ended(*(began(compute) for _ in range(3)), began(have_it_alone), began(have_it_alone))
    assert lonely == [0] * 80


class Begins(nn.Linear):
    """A network that has another thread begin something while torch.fx traces it."""

    def __init__(self, begin: Callable[[], threading.Thread]) -> None:
        super().__init__(4, 3)
        self.begin = begin

    def forward(self, x: Tensor) -> Any:
        if isinstance(x, fx.Proxy):
            thread = self.begin()
            until(lambda: not thread.is_alive() or waits(thread))
        return super().forward(x)


@pytest.mark.parametrize("flag", [None, SimpleNamespace(flag=False)], ids=["of a thread", "of all threads"])
def test_who_computes_is_not_taken_for_one_who_traces(flag: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch refuses to run in such a thread what it has compiled; older versions have one flag for all."""
    if flag is not None:
        monkeypatch.setattr("torch.fx._symbolic_trace._is_fx_tracing_tls", flag)
    taken: list[bool] = []
    threads: list[threading.Thread] = []  # not of the network: a trace leaves that as it was

    def begin() -> threading.Thread:
        look = fx._symbolic_trace.is_fx_symbolic_tracing
        threads.append(began(lambda: with_computing(lambda: taken.append(look()))))
        return threads[-1]

    assert Workload.from_module(Begins(begin), torch.ones(1, 4)).traced_by == "torch.fx"
    assert have_ended(*threads)
    assert taken == [False] * len(threads)
    assert taken


def test_a_long_evaluation_lets_a_trace_through_where_it_looks_up() -> None:
    study = create_study(EndlessProblem(), **OWN)
    study.start(10)
    until(lambda: study.state == "running")
    start = time.monotonic()
    assert trace() == "torch.export"
    assert time.monotonic() - start < exclusion.PATIENCE + 10
    assert study.state == "running"
    study.stop()
    assert study.wait(PATIENCE)


def test_a_paused_study_is_in_nobodys_way() -> None:
    study = create_study(ToyProblem(), **OWN)
    study.start(10_000)
    study.pause()
    assert study.wait(PATIENCE)
    assert trace() == "torch.export"
    study.resume()
    study.stop()
    assert study.wait(PATIENCE)


@pytest.mark.parametrize("workers", [1, 3])
def test_an_evaluation_may_trace(workers: int) -> None:
    class Traces(ToyProblem):
        def evaluate(self, bits: Any) -> np.ndarray:
            assert trace() == "torch.export"
            return super().evaluate(bits)

    study = create_study(Traces(), **OWN, workers=workers)
    study.start(9)
    others = [began(trace), began(trace)]
    assert study.wait(PATIENCE)
    assert study.state == "finished", study.snapshot.error
    assert have_ended(*others)
    plain = create_study(ToyProblem(), **OWN).optimize(9, progress=False)
    assert study.snapshot.evaluations.objectives.tolist() == plain.snapshot.evaluations.objectives.tolist()


def test_an_evaluation_may_have_helpers_that_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits to be alone keeps others out for a while only: one inside may be waiting for them."""
    monkeypatch.setattr(exclusion, "PATIENCE", 0.2)
    waits = threading.Event()

    def has_helpers() -> None:
        with computing():
            waits.set()
            time.sleep(0.1)  # the other one waits to be alone by now
            helper = began(lambda: with_computing(lambda: None))
            helper.join(PATIENCE)
            assert not helper.is_alive()

    thread = began(has_helpers)
    assert waits.wait(PATIENCE)
    with tracing(), alone():
        pass
    assert have_ended(thread)


def with_computing(work: Callable[[], object]) -> None:
    with computing():
        work()


def test_who_waits_for_what_waits_for_him_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """An evaluation that waits for another thread to trace gets its error, and all goes on."""
    monkeypatch.setattr(exclusion, "GIVES_UP", 0.2)
    said: list[TraceError] = []

    def traces() -> None:
        try:
            trace()
        except TraceError as error:
            said.append(error)

    with computing():
        assert have_ended(began(traces))
    assert "check_interrupted" in str(said[0])
    assert trace() == "torch.export"


@pytest.mark.parametrize("error", [KeyboardInterrupt, Interrupted])
def test_whoever_waits_can_be_interrupted(error: type[BaseException]) -> None:
    """To trace, to be alone, to compute: and nothing is held afterwards."""
    asked, left, holds, release = threading.Event(), [0], threading.Event(), threading.Event()

    def stop() -> bool:
        if asked.is_set() and error is KeyboardInterrupt:
            raise KeyboardInterrupt
        return asked.is_set()

    def hold() -> None:
        with tracing(), alone():
            holds.set()
            release.wait(PATIENCE)

    def wait_in(body: Callable[[], object]) -> None:
        try:
            with interruptible(stop):
                body()
        except error:
            left[0] += 1

    def trace_and_compute() -> None:
        with tracing(), alone():
            raise AssertionError("another one has it")

    holder = began(hold)
    assert holds.wait(PATIENCE)
    bodies = (lambda: with_computing(check_interrupted), trace_and_compute, trace)
    threads = [began(lambda body=body: wait_in(body)) for body in bodies]  # type: ignore[misc]
    time.sleep(0.1)
    assert all(thread.is_alive() for thread in threads)
    asked.set()
    assert have_ended(*threads)
    assert left == [3]
    release.set()
    assert have_ended(holder)
    assert trace() == "torch.export"


def test_a_study_stops_while_it_waits() -> None:
    study = create_study(ToyProblem(), **OWN, workers=3)
    with tracing(), alone():
        study.start(10)
        time.sleep(0.1)
        assert study.state == "running"
        study.stop()
        assert study.wait(PATIENCE)
    assert study.optimize(10, progress=False).state == "finished"
