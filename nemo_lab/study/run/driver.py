"""What the owner of an engine does with it: commands, evaluations, and the record of both."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from nemo_lab.errors import ArgumentError
from nemo_lab.exclusion import computing
from nemo_lab.interruption import LOOK_UP, Interrupted, check_interrupted, interruptible
from nemo_lab.search import Engine
from nemo_lab.search.members import Candidate
from nemo_lab.search.problem import sensitivity_of
from nemo_lab.study.commands.base import Command
from nemo_lab.study.commands.evaluations import Foresee, Prepare
from nemo_lab.study.commands.registry import carry_out
from nemo_lab.study.journal import Recorder, Stored
from nemo_lab.study.results.snapshot import Snapshot, State, snapshot_of
from nemo_lab.study.run.elsewhere import Elsewhere, Executor
from nemo_lab.study.run.evaluation import Evaluator, Pending
from nemo_lab.study.run.limits import Limits, Watch
from nemo_lab.study.run.notices import notice
from nemo_lab.study.run.processes import Processes, check_room
from nemo_lab.study.run.throughput import Throughput


class Driver:
    """Only one thread at a time may call it; who that is, is the worker's to say.

    Args:
        engine: of the study.
        workers: configurations evaluated at once.
        recorder: of the run.
        stored: what the run is taken up from, None for a fresh one.
        executor: where configurations are evaluated; on None in this process, or in others that belong to
            the study where a problem makes one at a time.

    Attributes:
        target: evaluations at which the run ends.
    """

    def __init__(
        self,
        engine: Engine,
        workers: int,
        recorder: Recorder,
        stored: Stored | None,
        executor: Executor | None = None,
    ) -> None:
        self._engine, self._workers, self._recorder = engine, workers, recorder
        status = {} if stored is None else stored.status
        reused = int(status.get("reused", 0))
        self._own: Processes | None = None
        elsewhere = None if executor is None else Elsewhere(executor, engine.problem)
        if executor is None and workers > 1 and engine.problem.one_at_a_time:
            check_room(engine.problem, workers)
            self._own = Processes(workers)
            try:
                elsewhere = Elsewhere(self._own, engine.problem)
            except ArgumentError as error:
                notice(f"{error.message}: its evaluations are made here, one at a time")
        self._evaluator = Evaluator(
            engine.problem, recorder.known, recorder.remember, reused, elsewhere, threads=workers > 1
        )
        self._flight: deque[tuple[Candidate, Pending]] = deque()  # in the order asked
        self._came = threading.Event()  # an answer
        self._waited = 0.0  # seconds since the last one was told
        self._in_vain = -1  # evaluations made when the next candidate depended on an answer
        self.target = int(status.get("target", 0))
        self._seconds, self._throughput = (
            float(status.get("seconds", 0.0)),
            Throughput(float(status.get("rate", 0.0))),
        )
        self._watch = Watch()
        self.plan()
        if engine.out:  # what is stored ends in the middle of several at once
            self._rest()

    def check_open(self) -> None:
        """Refuse what could not be stored any more; see ``Recorder.check_open``."""
        self._recorder.check_open()

    def begin(self, target: int, limits: Limits) -> None:
        """What the next run ends at."""
        self.target, self._watch = target, Watch(limits, self._seconds)

    def plan(self) -> None:
        """Tell the engine at how many evaluations the run ends."""
        self._engine.steering.plan(self.target)

    @property
    def busy(self) -> bool:
        """Whether configurations are being evaluated; what people decide waits for them."""
        return bool(self._flight)

    @property
    def done(self) -> bool:
        """Whether the run has come to its end."""
        return len(self._engine.evaluations) >= self.target or self._engine.exhausted

    def apply(self, command: Command, stopping: Callable[[], bool]) -> None:
        """Carry out a command between two evaluations, and note it: both, or neither where it fails."""
        engine, recorder, before = self._engine, self._recorder, self._engine.ledger.budget
        evaluate = partial(self._evaluator.evaluate_beside, engine.evaluations, stopping)
        if not command.action:
            carry_out(engine, command, evaluate)
            return
        self._watch.restart()

        def carried_out() -> None:
            asks, asked = engine.state.asks, command.resolved(engine.ledger)
            detail = carry_out(engine, asked, evaluate)
            recorder.note(len(engine.evaluations), asked, detail, asks)

        try:
            engine.state.whole(carried_out, partial(setattr, recorder, "record", recorder.record))
        finally:
            if engine.ledger.budget != before:  # else a start that waits has set its own
                self.target = engine.ledger.budget

    def evaluate_some(self, stopping: Callable[[], bool], hold: Callable[[], bool]) -> bool:
        """Give every worker something to do, and take the answer of whoever was asked first, if it is there.

        Answers are told in the order asked: workers change nothing but the time. Where there is none yet this
        waits a little.

        Args:
            stopping: everything is left half-way once this returns true.
            hold: whether what is in flight is to land before anything begins.

        Returns:
            whether an answer was taken.
        """
        if not self._flight and not self._foresees(stopping):
            return False
        began = time.perf_counter()
        try:
            with interruptible(stopping):
                self._begin(hold)
                told = bool(self._flight) and self._tell()
        except BaseException as error:
            self.land()
            if stopping() and isinstance(error, Interrupted):
                return False
            raise
        took = time.perf_counter() - began
        self._seconds += took
        self._waited += took
        if not self._flight and not told:
            self._rest()
        if told:
            self._throughput.add(self._waited, 1)
            self._waited, made = 0.0, len(self._engine.evaluations)
            if self._watch.over(self._seconds, made, self._engine.hypervolume()):
                self.target = made
                self.land()
        return told

    def _begin(self, hold: Callable[[], bool]) -> None:
        """Ask for a candidate for every worker that has nothing to do; fewer where answers are missing."""
        if self._flight and len(self._engine.evaluations) == self._in_vain:
            return
        working = sum(not pending.done() for _, pending in self._flight)
        while working < self._workers and len(self._engine.evaluations) + len(self._flight) < self.target:
            if hold() or self._engine.exhausted:
                break
            candidate = self._engine.ask()
            if candidate is None:
                self._in_vain = len(self._engine.evaluations)
                break
            pending = self._evaluator.begin(candidate.bits, self._came.set)
            self._flight.append((candidate, pending))
            working += 1

    def _tell(self) -> bool:
        """Tell the answer of whoever was asked first; where there is none yet, wait for any."""
        candidate, pending = self._flight[0]
        if not pending.done():
            check_interrupted()
            self._came.wait(LOOK_UP)
            self._came.clear()
            return False
        self._engine.tell(candidate, pending.result())
        self._flight.popleft()
        return True

    def land(self) -> None:
        """Leave everything that is in flight; what has been measured of it is not measured again."""
        flight = list(self._flight)
        self._flight.clear()
        for candidate, pending in flight:
            pending.leave()
            if pending.done():
                with contextlib.suppress(Exception, Interrupted):  # the run will meet it again
                    self._evaluator.keep(candidate.bits, pending.measured())
        self._rest()

    def _foresees(self, stopping: Callable[[], bool]) -> bool:
        """Ask the problem for its sensitivity, before the first evaluation; whether that was not stopped."""
        if self._engine.wants_sensitivity:
            began = time.perf_counter()
            try:
                with interruptible(stopping), computing():
                    found = sensitivity_of(self._engine.problem)
            except Interrupted:
                if stopping():
                    return False
                raise
            finally:
                self._seconds += time.perf_counter() - began
            if found is not None:
                self.apply(Foresee(found), stopping)
        return True

    def _rest(self) -> None:
        """Nothing is out any more, and the record knows what was asked for in vain."""
        if self._engine.out or self._engine.exhausted:
            self.apply(Prepare(), lambda: False)

    def snapshot(self, version: int, state: State, error: str | None) -> Snapshot:
        """The run as it is."""
        return snapshot_of(
            self._engine,
            version=version,
            state=state,
            error=error,
            record=self._recorder.record,
            target=self.target,
            ends=self._watch.ends,
            seconds=self._seconds,
            seconds_per_evaluation=self._throughput.rate,
            reused=self._evaluator.reused,
        )

    def keep(self, snapshot: Snapshot, *, end: bool) -> None:
        """Store what is new; see ``Recorder.keep``."""
        self._recorder.keep(self._engine, snapshot, end=end)

    def close(self) -> None:
        """Let go of the journal, and end processes of ours."""
        self._recorder.close()
        if self._own is not None:
            self._own.close()
