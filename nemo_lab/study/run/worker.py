"""A background thread while a run is on: what callers ask for, and who may touch the engine when."""

from __future__ import annotations

import contextlib
import threading
import traceback
from collections.abc import Callable, Iterable
from dataclasses import replace

from nemo_lab.closing import close_at_exit
from nemo_lab.search import Ledger
from nemo_lab.study.commands.base import Command
from nemo_lab.study.results.snapshot import Snapshot
from nemo_lab.study.run.command_queue import CommandQueue
from nemo_lab.study.run.driver import Driver
from nemo_lab.study.run.evaluation import failure
from nemo_lab.study.run.events import Listeners
from nemo_lab.study.run.inside import check_outside, inside, is_inside
from nemo_lab.study.run.limits import NO_LIMITS, Limits
from nemo_lab.study.run.runner import Posted
from nemo_lab.study.run.sheltered import sheltered
from nemo_lab.study.run.state_machine import Event, StateMachine
from nemo_lab.study.run.switch_interval import responsive


class Worker(Listeners):
    """Runs an engine, applies commands between two evaluations, publishes snapshots; see ``Runner``.

    Callers on any thread queue commands and tell the state machine what they want, under one condition. The
    engine has one owner, whose methods begin with ``_run``: its thread, or else who calls ``post``.

    Args:
        driver: of the engine.
        ended: whether the run that it goes on with had come to its end.
    """

    following = False

    def __init__(self, driver: Driver, *, ended: bool = False) -> None:
        super().__init__()
        self._driver = driver
        self._commands = CommandQueue()
        self._lock, self._condition = self._commands.lock, self._commands.condition
        self._machine = StateMachine("finished" if ended else "idle")
        self._thread: threading.Thread | None = None
        self._error: str | None = None
        self._cause: BaseException | None = None
        self.closed, self.snapshot = False, self._driver.snapshot(0, self._machine.state, None)
        close_at_exit(self)

    @property
    def ledger(self) -> Ledger:
        """What is in force once every command posted so far has taken effect."""
        with self._lock:
            return self._commands.ahead(self.snapshot.ledger, len(self.snapshot.evaluations))

    def check_writable(self) -> None:
        """Refuse what could not be stored any more."""
        self._driver.check_open()

    @sheltered
    def start(self, target: Callable[[int], int], limits: Limits = NO_LIMITS) -> None:
        """Run until as many evaluations are made as ``target`` says of those made so far, or to a limit."""
        with self._lock:
            self._machine.check("start")
            self.check_writable()
            wanted = target(len(self.snapshot.evaluations))
            thread = threading.Thread(target=self._run, name="nemo_lab worker", daemon=True)
            thread.start()  # waits for the lock; if there is no thread to be had, nothing has begun
            self._driver.begin(wanted, limits)
            self._error, self._cause, self._thread = None, None, thread
            self._turn_to("start")

    @sheltered
    def pause(self) -> None:
        """Hold after the evaluation in flight, which is made to its end."""
        self._ask("pause")

    @sheltered
    def resume(self) -> None:
        """Go on after a pause."""
        self._ask("resume")

    @sheltered
    def stop(self) -> None:
        """End the run; the evaluation in flight is left where it looks up. Harmless when none is on."""
        with self._lock:
            if self._machine.active and not self._machine.stopping():
                self._turn_to("stop")

    @sheltered
    def wait(self, timeout: float | None = None, *, through_pauses: bool = False) -> bool:
        """Wait until no run is on, or it is paused; returns whether that came before the timeout."""
        if timeout is None and self._machine.active:
            check_outside(self, "wait()")
        pauses, machine = () if through_pauses else ("paused",), self._machine
        return self._commands.wait_for(lambda: not machine.active or machine.phase in pauses, timeout)

    @sheltered
    def post(self, command: Posted) -> None:
        """Have a command applied: by the worker's thread, or here and now where none runs."""
        self.check_writable()
        with self._lock:  # nobody steers between what is looked at and what is decided
            mine = self._commands.put(command(self.ledger) if callable(command) else command)
        first: BaseException | None = None
        while mine:
            try:
                with inside(self):
                    self._drain()
                mine = not self._commands.release()
            except BaseException as error:  # others may have queued commands: they are not to be stranded
                first = first or error
        if first is not None:
            raise first

    @sheltered
    def abandon(self) -> None:
        """Stop, and let go of the journal as soon as the thread has ended; does not wait for it."""
        with self._lock:
            self.closed = True
            if not self._machine.active and not self._commands.owned:
                self._driver.close()
        self.stop()

    @sheltered
    def close(self) -> None:
        """Stop for good, wait for the thread to end, and let go of the journal."""
        self.closed = True
        self.stop()
        if is_inside(self) and self._machine.active:
            return  # the end of the run lets go of it
        if self._thread is not None:
            self._thread.join()
        self._driver.close()

    def raise_failure(self) -> None:
        """Raise what ended the last run, if it failed; see ``failure``."""
        if self._machine.phase == "failed" and self._cause is not None:
            raise failure(self._cause, len(self.snapshot.evaluations)) from self._cause

    def _ask(self, event: Event) -> None:
        with self._lock:
            self._machine.check(event)
            self._turn_to(event)

    def _turn_to(self, event: Event) -> None:
        """Take an event while the engine may be at work: its part of the snapshot stays as it is."""
        before = self._machine.state
        self._machine.take(event)
        self._condition.notify_all()
        if self._machine.state != before:
            self.snapshot = self._shown(self.snapshot)
            self.tell_listeners()

    def _shown(self, fresh: Snapshot) -> Snapshot:
        """The next snapshot, with the state and the budget of this moment."""
        version, target = self.snapshot.version + 1, self._driver.target
        return replace(fresh, version=version, state=self._machine.state, target=target, error=self._error)

    def _run(self) -> None:
        self._commands.own()  # somebody may be steering the idle study
        self._driver.plan()
        try:
            with responsive(), inside(self):
                while self._turn():
                    pass
        except BaseException as error:
            self._error, self._cause = traceback.format_exc(), error
            while not self._fail():
                pass

    def _turn(self) -> bool:
        """One answer, or one wait; returns whether the run goes on."""
        self._drain()
        with self._lock:
            if not self._driver.busy:
                if self._commands:
                    return True
                if (done := self._driver.done) or self._machine.stopping():
                    self._end("finish" if done else "rest")
                    return False
                if self._machine.phase == "pausing":
                    self._arrive("hold")
                    self.tell_listeners()
                if self._machine.phase == "paused":
                    self._condition.wait_for(lambda: self._commands or self._machine.phase != "paused")
                    return True
        if self._driver.evaluate_some(self._machine.stopping, self._holds):
            self._publish()
        return True

    def _holds(self) -> bool:
        """Whether what is in flight is to land before anything begins."""
        return bool(self._commands) or self._machine.phase != "running"

    def _drain(self) -> None:
        """Apply every waiting command; those that change the search, once nothing is in flight."""
        applied: list[Command] = []
        try:
            while (command := self._commands.take(beside=self._driver.busy)) is not None:
                applied.append(command)
                self._driver.apply(command, self._machine.stopping)
        finally:
            if any(command.action for command in applied):
                self._publish(applied)
            else:
                self._commands.seen(applied)

    def _fail(self) -> bool:
        """End a failed run once no command waits any more, so that every caller gets an answer."""
        with contextlib.suppress(BaseException):  # the first failure is the one to report
            self._driver.land()
            self._drain()
        with self._lock:
            if not self._commands:
                self._end("fail")
            return not self._machine.active

    def _publish(self, applied: Iterable[Command] = ()) -> None:
        """Store what is new, these commands among it, then show it."""
        fresh = self.snapshot
        try:
            fresh = self._driver.snapshot(0, self._machine.state, self._error)
            self._driver.keep(fresh, end=False)
        finally:
            with self._lock:  # others may have changed the state meanwhile
                self.snapshot = self._shown(fresh)
                self._commands.seen(applied)  # at once: nobody may count them twice
                self._condition.notify_all()
            self.tell_listeners()

    def _arrive(self, event: Event) -> None:
        """Store the run at rest, then take the event that brought it there; under the condition."""
        state, version = self._machine.after(event), self.snapshot.version + 1
        fresh = replace(self.snapshot, version=version, state=state, error=self._error)
        with contextlib.suppress(BaseException) if event == "fail" else contextlib.nullcontext():
            fresh = self._driver.snapshot(version, state, self._error)
            self._driver.keep(fresh, end=True)
        self._machine.take(event)
        self.snapshot = fresh
        self._condition.notify_all()

    def _end(self, event: Event) -> None:
        """End a run; under the condition."""
        self._arrive(event)
        self._thread, self._commands.owned = None, False
        if self.closed:
            self._driver.close()
        self.tell_listeners()
