"""What the owner of an engine does with it: commands, evaluations, and the record of both."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from nemo_lab.exclusion import computing
from nemo_lab.interruption import Interrupted, interruptible
from nemo_lab.search import Engine
from nemo_lab.search.members import Candidate
from nemo_lab.search.problem import sensitivity_of
from nemo_lab.study.commands.base import Command
from nemo_lab.study.commands.evaluations import Foresee, Prepare
from nemo_lab.study.commands.registry import carry_out
from nemo_lab.study.journal import Recorder, Stored
from nemo_lab.study.results.snapshot import Snapshot, State, snapshot_of
from nemo_lab.study.run.elsewhere import Elsewhere, Executor
from nemo_lab.study.run.evaluation import Evaluator
from nemo_lab.study.run.limits import Limits, Watch
from nemo_lab.study.run.throughput import Throughput


class Driver:
    """Only one thread at a time may call it; who that is, is the worker's to say.

    Args:
        engine: of the study.
        workers: configurations evaluated at once.
        recorder: of the run.
        stored: what the run is taken up from, None for a fresh one.
        executor: where configurations are evaluated; in threads of this process on None.

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
        elsewhere = None if executor is None else Elsewhere(executor, engine.problem)
        self._evaluator = Evaluator(engine.problem, recorder.known, recorder.remember, reused, elsewhere)
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

    def evaluate_some(self, stopping: Callable[[], bool]) -> bool:
        """One evaluation for each worker, told in the order asked: workers change nothing but the time.

        Returns:
            whether they were made; they are left half-way once ``stopping`` returns true.
        """
        if not self._foresees(stopping):
            return False
        began = time.perf_counter()
        candidates: list[Candidate] = []
        most = min(self._workers, self.target - len(self._engine.evaluations))
        try:
            while len(candidates) < most and (candidate := self._engine.ask()) is not None:
                candidates.append(candidate)  # fewer at the end of a generation, none if nothing is left
            with interruptible(stopping):
                answers = self._evaluator.evaluate([candidate.bits for candidate in candidates])
                for candidate, objectives in zip(candidates, answers, strict=True):
                    self._engine.tell(candidate, objectives)
        except BaseException as error:
            if stopping() and isinstance(error, Interrupted):
                return False
            raise
        finally:
            self._rest()
        if not candidates:
            return False
        took = time.perf_counter() - began
        self._seconds += took
        self._throughput.add(took, len(candidates))
        made = len(self._engine.evaluations)
        if self._watch.over(self._seconds, made, self._engine.hypervolume()):
            self.target = made
        return True

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
        """Nothing is out between two evaluations, and the record knows what was asked for in vain."""
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
        """Let go of the journal."""
        self._recorder.close()
