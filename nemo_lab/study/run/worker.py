"""The one owner of the engine: a background thread while a run is on, else whoever steers."""

from __future__ import annotations

import contextlib
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from nemo_lab.closing import close_at_exit
from nemo_lab.errors import StudyStateError
from nemo_lab.interruption import Interrupted, interruptible
from nemo_lab.search import Engine
from nemo_lab.search.species import Species
from nemo_lab.study.commands.search import Command, Prepare
from nemo_lab.study.journal import Stored
from nemo_lab.study.journal.recorder import Storage
from nemo_lab.study.journal.resume import carry_out
from nemo_lab.study.results.snapshot import Intervention, Snapshot, State, picture
from nemo_lab.study.run.evaluation import failure
from nemo_lab.study.run.events import Listeners
from nemo_lab.study.run.switch_interval import responsive
from nemo_lab.study.run.throughput import Pace


class Worker(Listeners):
    """Runs an engine, applies commands between two evaluations, publishes snapshots.

    Callers on any thread set flags and queue commands under one condition; nobody but the owner
    touches the engine. The owner is the worker thread, or, while none runs, the caller of ``post``.
    """

    def __init__(
        self, engine: Engine, workers: int = 1, storage: Storage | None = None, stored: Stored | None = None
    ) -> None:
        super().__init__()
        self._engine = engine
        self._workers = workers
        self._storage = Storage() if storage is None else storage
        self._condition = threading.Condition()
        self._commands: deque[Command] = deque()
        self._owned = False
        self._thread: threading.Thread | None = None
        self._pause = self._stop = self._abandoned = self.closed = False
        self._resumed = 0
        self._state: State = "idle"
        self._target = 0
        self._seconds, self._pace = 0.0, Pace()
        if stored is not None:
            self._take_up(stored)
        self._error: str | None = None
        self.cause: BaseException | None = None
        self._version = 0
        self.snapshot = self._make_snapshot()
        close_at_exit(self)

    @property
    def species(self) -> tuple[Species, ...]:
        """All that ever took part."""
        return self._engine.species

    @property
    def steers(self) -> tuple[Intervention, ...]:
        """All of the run, with the candidates drawn up before one."""
        return self._storage.steers

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
        released = False
        while not released:  # others may queue commands meanwhile: one that fails must not strand them
            try:
                self._drain()
            except BaseException as error:
                first = first or error
            released = self._release()
        if first is not None:
            raise first

    def abandon(self) -> None:
        """Stop, and let go of the journal as soon as the thread has ended; does not wait for it."""
        with self._condition:
            self._abandoned = True
            if self._thread is None and not self._owned:
                self._storage.close()
        self.stop()

    def close(self) -> None:
        """Stop for good, wait for the thread to end, and let go of the journal."""
        self.closed = True
        self.stop()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        self._storage.close()

    # the owner only

    def _run(self) -> None:
        with self._condition:  # somebody may be steering the idle study
            self._condition.wait_for(lambda: not self._owned)
            self._owned = True
            self._engine.budget = self._target
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
                state: State = "finished" if done else "idle"
                self._keep(state)
                self._finish(state)
                return False
            if self._pause:
                seen = self._resumed  # a resume and a pause while this thread sleeps must not be missed
                self._keep("paused")
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
        left = self._target - len(self._engine.evaluations)
        candidates = self._engine.ask_some(min(self._workers, left))
        if not candidates:
            self._storage.note(self._engine, Prepare(1), "nothing left to evaluate")
            return
        try:
            bits = [candidate.bits for candidate in candidates]
            with interruptible(lambda: self._stop):
                for objectives in self._storage.evaluate(self._engine.problem, bits):
                    self._engine.tell(candidates.pop(0), objectives)
        except BaseException as error:
            for candidate in reversed(candidates):
                self._engine.give_back(candidate)
            self._storage.note(self._engine, Prepare(len(candidates)), "left half-way")
            if self._stop and isinstance(error, Interrupted):
                return
            raise
        self._keep()
        took = time.perf_counter() - began
        self._seconds += took
        self._pace.add(took, len(bits))
        self._publish()

    def _drain(self) -> None:
        """Apply every waiting command."""
        steered = False
        while self._commands:
            command = self._commands.popleft()
            evaluate = partial(self._storage.evaluate_beside, self._engine, lambda: self._stop)
            budget = self._engine.budget
            detail = carry_out(self._engine, command, evaluate)
            if self._engine.budget not in (budget, None):  # a start that waits set its own
                self._target = self._engine.budget
            if command.action:
                self._storage.note(self._engine, command, detail)
                steered = True
        if steered:
            self._publish()
            self._keep()

    def _keep(self, state: State | None = None) -> None:
        """Store what is new; a run that ends says in which state."""
        run: dict[str, object] = {"state": state or self._state, "error": self._error, "target": self._target}
        run |= {"seconds": self._seconds, "rate": self._pace.rate}
        self._storage.keep(self._engine, run, end=state is not None)

    def _take_up(self, stored: Stored) -> None:
        status = stored.status
        self._target = self._engine.budget = int(status.get("target", 0))
        self._seconds, self._pace = float(status.get("seconds", 0.0)), Pace(float(status.get("rate", 0.0)))
        if status.get("state") == "finished":
            self._state = "finished"

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
        with contextlib.suppress(BaseException):
            self._keep("failed")
        with self._condition:
            if self._commands:
                return False
            self._finish("failed")
            return True

    def _finish(self, state: State) -> None:
        with self._condition:
            self._thread, self._owned = None, False
            if self._abandoned:
                self._storage.close()
            self._pause = self._stop = False
            self._publish(state)
            self._condition.notify_all()

    def _publish(self, state: State | None = None, *, fresh: bool = True) -> None:
        """Make the next snapshot, in the present state by default; ``fresh`` off keeps the engine's part."""
        with self._condition:
            state = state or self._state  # read here: others may have changed it a moment ago
            self._state = "stopping" if state == "running" and self._stop else state
            self._version += 1
            if fresh:
                self.snapshot = self._make_snapshot()
            else:
                new = replace(self.snapshot, version=self._version, state=self._state)
                self.snapshot = replace(new, target=self._target, error=self._error)
            self._condition.notify_all()
        self.tell_listeners()

    def _make_snapshot(self) -> Snapshot:
        return picture(
            self._engine,
            version=self._version,
            state=self._state,
            interventions=self._storage.interventions,
            target=self._target,
            seconds=self._seconds,
            seconds_per_evaluation=self._pace.rate,
            reused=self._storage.reused,
            error=self._error,
        )

    def raise_failure(self) -> None:
        """Raise what ended the last run, if it failed; see ``failure``."""
        if self._state == "failed" and self.cause is not None:
            raise failure(self.cause, len(self.snapshot.evaluations)) from self.cause
