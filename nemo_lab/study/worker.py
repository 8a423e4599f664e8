"""The one owner of the engine: a background thread while a run is on, else whoever steers."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import logging
import threading
import time
import traceback
import weakref
from collections import deque
from collections.abc import Callable
from functools import partial

from nemo_lab.errors import EvaluationError, StudyStateError
from nemo_lab.interruption import Interrupted, interruptible
from nemo_lab.search import Candidate, Engine
from nemo_lab.study.commands import Command
from nemo_lab.study.evaluating import evaluate_all, evaluate_beside
from nemo_lab.study.records import Intervention, Snapshot, State
from nemo_lab.study.responsive import responsive

LOGGER = logging.getLogger(__name__)
_workers: weakref.WeakSet[Worker] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Wait until every evaluation in flight is left: a thread that is inside torch cannot be torn down."""
    for worker in list(_workers):
        worker.close()


class Worker:
    """Runs an engine, applies commands between two evaluations, publishes snapshots.

    Callers on any thread set flags and queue commands under one condition; nobody but the owner
    touches the engine. The owner is the worker thread, or, while none runs, the caller of ``post``.
    """

    def __init__(self, engine: Engine, workers: int = 1) -> None:
        self._engine = engine
        self._workers = workers
        self._condition = threading.Condition()
        self._commands: deque[Command] = deque()
        self._owned = False
        self._thread: threading.Thread | None = None
        self._pause = self._stop = False
        self._resumed = 0
        self._state: State = "idle"
        self._target = 0
        self._interventions: tuple[Intervention, ...] = ()
        self._seconds = self._rate = 0.0
        self._error: str | None = None
        self.cause: BaseException | None = None
        self._listeners: tuple[Callable[[], None], ...] = ()
        self._version = 0
        self.snapshot = self._make_snapshot()
        _workers.add(self)

    # callers, on any thread

    def start(self, target: Callable[[int], int]) -> None:
        """Run until as many evaluations are made as ``target`` says of those made so far.

        Raises:
            StudyStateError: if a run is on.
        """
        with self._condition:
            if self._thread is not None:
                way_out = "call resume()" if self._state == "paused" else "wait for it, or stop it first"
                raise StudyStateError(f"the study is already {self._state}", way_out)
            self._target = target(len(self.snapshot.evaluations))
            self._error = self.cause = None
            self._thread = threading.Thread(target=self._run, name="nemo_lab worker", daemon=True)
            self._publish("running", fresh=False)
            self._thread.start()

    def pause(self) -> None:
        """Hold after the evaluation in flight, which is made to its end."""
        with self._condition:
            if self._thread is None or self._stop:
                raise StudyStateError(f"cannot pause: the study is {self._state}", "call start() first")
            self._pause = True
            self._condition.notify_all()

    def resume(self) -> None:
        """Go on after a pause."""
        with self._condition:
            if self._thread is None or not self._pause:
                raise StudyStateError(
                    f"cannot resume: the study is {self._state}, not paused", "call start() to run it"
                )
            self._pause = False
            self._resumed += 1
            if self._state == "paused":
                self._publish("running", fresh=False)
            self._condition.notify_all()

    def stop(self) -> None:
        """End the run; the evaluation in flight is left where it looks up. Harmless when none is on."""
        with self._condition:
            if self._thread is not None and not self._stop:
                self._stop, self._pause = True, False
                self._publish("stopping", fresh=False)
                self._condition.notify_all()

    def wait(self, timeout: float | None = None, *, through_pauses: bool = False) -> bool:
        """Wait until no run is on, or it is paused; returns whether that came before the timeout."""
        with self._condition:
            return self._condition.wait_for(
                lambda: self._thread is None or (self._state == "paused" and not through_pauses), timeout
            )

    def post(self, command: Command) -> None:
        """Have a command applied: by the worker thread, or here and now where none runs."""
        with self._condition:
            self._commands.append(command)
            self._condition.notify_all()
            if self._owned:
                return
            self._owned = True
        first: BaseException | None = None
        while True:  # others may queue commands meanwhile: one that fails must not strand them
            try:
                self._drain()
            except BaseException as error:
                first = first or error
            if self._release():
                break
        if first is not None:
            raise first

    def close(self) -> None:
        """Stop, and wait for the thread to end."""
        self.stop()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after every snapshot; it must return at once."""
        self._listeners = (*self._listeners, listener)

    def forget(self, listener: Callable[[], None]) -> None:
        """Take a listener back."""
        self._listeners = tuple(one for one in self._listeners if one != listener)

    # the owner only

    def _run(self) -> None:
        with self._condition:  # somebody may be steering the idle study
            self._condition.wait_for(lambda: not self._owned)
            self._owned = True
        try:
            with responsive():
                while self._turn():
                    pass
        except BaseException as error:
            self._error, self.cause = traceback.format_exc(), error
            while not self._fail():
                pass

    def _turn(self) -> bool:
        """One evaluation, or one wait; returns whether the run goes on."""
        self._drain()
        with self._condition:
            if self._commands:
                return True
            done = len(self._engine.evaluations) >= self._target or self._engine.exhausted
            if self._stop or done:
                self._finish("finished" if done else "idle")
                return False
            if self._pause:
                seen = self._resumed  # a resume and a pause while this thread sleeps must not be missed
                self._publish("paused")
                self._condition.wait_for(
                    lambda: self._commands or self._stop or not self._pause or self._resumed != seen
                )
                self._publish("stopping" if self._stop else "paused" if self._pause else "running")
                return True
        self._evaluate_some()
        return True

    def _evaluate_some(self) -> None:
        """One evaluation for each worker, told in the order asked: workers change nothing but the time."""
        began = time.perf_counter()
        candidates: list[Candidate] = []
        left = self._target - len(self._engine.evaluations)
        while len(candidates) < min(self._workers, left):
            candidate = self._engine.ask()
            if candidate is None:
                break
            candidates.append(candidate)
        if not candidates:
            if self._engine.exhausted:
                return
            raise RuntimeError("the engine waits for an evaluation that nobody makes")
        try:
            bits = [candidate.bits for candidate in candidates]
            with interruptible(lambda: self._stop):
                for objectives in evaluate_all(self._engine.problem, bits):
                    self._engine.tell(candidates.pop(0), objectives)
        except BaseException as error:
            for candidate in reversed(candidates):
                self._engine.give_back(candidate)
            if self._stop and isinstance(error, Interrupted):
                return
            raise
        took = time.perf_counter() - began
        self._seconds += took
        rate = took / len(bits)
        self._rate = rate if self._rate == 0 else 0.95 * self._rate + 0.05 * rate
        self._publish(self._state)

    def _drain(self) -> bool:
        """Apply every waiting command; returns whether there was any."""
        any_applied = False
        while self._commands:
            command = self._commands.popleft()
            evaluate = partial(evaluate_beside, self._engine.problem, lambda: self._stop)
            detail = command.apply(self._engine, evaluate)
            if command.action:
                made = Intervention(len(self._engine.evaluations), command.action, detail)
                self._interventions = (*self._interventions, made)
            any_applied = True
        if any_applied:
            self._publish(self._state)
        return any_applied

    def _release(self) -> bool:
        with self._condition:
            if self._commands:
                return False
            self._owned = False
            self._condition.notify_all()
            return True

    def _fail(self) -> bool:
        """End a failed run once no command waits any more, so that nobody waits for an answer."""
        with contextlib.suppress(BaseException):  # the first failure is the one to report
            self._drain()
        with self._condition:
            if self._commands:
                return False
            self._finish("failed")
            return True

    def _finish(self, state: State) -> None:
        with self._condition:
            self._thread, self._owned = None, False
            self._pause = self._stop = False
            self._publish(state)
            self._condition.notify_all()

    def _publish(self, state: State, *, fresh: bool = True) -> None:
        """Make the next snapshot; ``fresh`` off keeps the engine's part, for those who do not own it."""
        with self._condition:
            if state == "running" and self._stop:
                state = "stopping"
            self._state = state
            self._version += 1
            self.snapshot = (
                self._make_snapshot()
                if fresh
                else dataclasses.replace(
                    self.snapshot, version=self._version, state=state, target=self._target, error=self._error
                )
            )
            self._condition.notify_all()
        self.tell_listeners()

    def tell_listeners(self) -> None:
        """Call every listener, as after a snapshot."""
        for listener in self._listeners:
            try:
                listener()
            except Exception:
                LOGGER.exception("a listener of the study failed and is not called again")
                self.forget(listener)

    def _make_snapshot(self) -> Snapshot:
        engine = self._engine
        return Snapshot(
            version=self._version,
            state=self._state,
            evaluations=engine.evaluations,
            front=engine.front,
            rules=engine.rules,
            generation=engine.generation,
            allocation=tuple(int(size) for size in engine.allocation),
            history=engine.history,
            interventions=self._interventions,
            hypervolume=engine.hypervolume(),
            waiting=engine.waiting,
            target=self._target,
            seconds=self._seconds,
            seconds_per_evaluation=self._rate,
            exhausted=engine.exhausted,
            error=self._error,
        )

    def raise_failure(self) -> None:
        """Raise what ended the last run, if it failed.

        Raises:
            EvaluationError: with the original exception as its cause.
        """
        cause = self.cause
        if self._state == "failed" and cause is not None:
            done = len(self.snapshot.evaluations)
            raise EvaluationError(
                f"the run failed after {done} evaluations: {type(cause).__name__}: {cause}",
                "nothing evaluated is lost; mend the cause and call start() again",
            ) from cause
