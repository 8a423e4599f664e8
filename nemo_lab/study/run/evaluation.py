"""Calling a problem's evaluator: here, in threads beside each other, or elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextvars import copy_context
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nemo_lab.errors import EvaluationError, NemoError, StorageError
from nemo_lab.exclusion import computing
from nemo_lab.interruption import interruptible
from nemo_lab.search import Evaluations, Problem
from nemo_lab.search.problem import evaluate_one
from nemo_lab.search.species import Bits
from nemo_lab.study.run.elsewhere import Elsewhere

Floats = NDArray[np.float64]
Answer = Future[Floats]
Known = Callable[[bytes], Floats | None]
Remember = Callable[[Bits, Floats], None]


class Pending(Protocol):
    """An evaluation that was begun."""

    def done(self) -> bool:
        """Whether ``result`` can be called."""

    def result(self) -> Floats:
        """Objectives float[K]; raises what the evaluation raised."""

    def measured(self) -> Floats:
        """The same, of one that was left and had been measured by then; raises where it was not."""

    def leave(self) -> None:
        """They are not needed any more."""


class Evaluator:
    """Evaluates the configurations of a run, and those that people ask for beside it.

    Args:
        problem: whose evaluator is called.
        known: objectives float[K] of the bytes of uint8[Q], None if nobody measured them; such are not
            evaluated again. It is asked each time: others measure meanwhile.
        remember: is told what was measured beside the run, where it is kept.
        reused: so many of the run were known before it was taken up.
        elsewhere: evaluates those of the run in other processes.
        threads: evaluates those of the run beside each other, each in a thread of this process.

    Attributes:
        reused: evaluations of the run that were known.
    """

    def __init__(
        self,
        problem: Problem,
        known: Known | None = None,
        remember: Remember | None = None,
        reused: int = 0,
        elsewhere: Elsewhere | None = None,
        *,
        threads: bool = False,
    ) -> None:
        self._problem, self._measured_before = problem, known
        self._answers: dict[bytes, Floats] = {}
        self._remember, self._elsewhere, self._threads = remember, elsewhere, threads
        self.reused = reused

    def begin(self, bits: Bits, came: Callable[[], None]) -> Pending:
        """Have a configuration of the run evaluated; ``came`` is called when there is an answer."""
        found = self._known(bits.tobytes())
        if found is not None:
            return Remembered(self, found)
        if self._elsewhere is not None:
            return self._elsewhere.begin(bits, came)
        return InThread(self._problem, bits, came) if self._threads else Here(self._problem, bits)

    def evaluate_beside(self, log: Evaluations, asked: Callable[[], bool], bits: Bits) -> Floats:
        """Objectives of a configuration that is no part of the run.

        Args:
            log: of the run.
            asked: the evaluation is left half-way once this returns true.
            bits: uint8[Q].
        """
        key = bits.tobytes()
        made = np.flatnonzero((log.bits == bits).all(axis=1))
        if made.size:
            measured: Floats = log.objectives[made[0]]
            return measured
        known = self._known(key)
        if known is None:
            with interruptible(asked):
                known = _evaluate(self._problem, bits)
            self.keep(bits, known)
        return known

    def keep(self, bits: Bits, found: Floats) -> None:
        """What was measured and is not told: beside the run, or for it and too late."""
        self._answers[bits.tobytes()] = found
        if self._remember is not None:
            self._remember(bits, found)

    def _known(self, key: bytes) -> Floats | None:
        if key in self._answers or self._measured_before is None:
            return self._answers.get(key)
        return self._measured_before(key)


@dataclass(frozen=True)
class Remembered:
    """What was measured before."""

    evaluator: Evaluator
    found: Floats

    def done(self) -> bool:  # noqa: D102
        return True

    def result(self) -> Floats:  # noqa: D102
        self.evaluator.reused += 1
        return self.found

    def measured(self) -> Floats:  # noqa: D102
        return self.found

    def leave(self) -> None:  # noqa: D102
        pass


@dataclass(frozen=True)
class Here:
    """An evaluation by whoever waits for it."""

    problem: Problem
    bits: Bits

    def done(self) -> bool:  # noqa: D102
        return True

    def result(self) -> Floats:  # noqa: D102
        return _evaluate(self.problem, self.bits)

    def measured(self) -> Floats:  # noqa: D102
        raise CancelledError

    def leave(self) -> None:  # noqa: D102
        pass


class InThread:
    """An evaluation in a thread of its own, which can be interrupted as who began it can.

    It is no ``ThreadPoolExecutor``'s: Python waits for one of those before it lets anybody say that it exits.
    """

    def __init__(self, problem: Problem, bits: Bits, came: Callable[[], None]) -> None:
        self._problem, self._bits, self._answer = problem, bits, Future[Floats]()
        self._answer.add_done_callback(lambda _: came())
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._run,), name="nemo_lab evaluator", daemon=True
        )
        self._thread.start()

    def _run(self) -> None:
        try:
            self._answer.set_result(_evaluate(self._problem, self._bits))
        except BaseException as error:
            self._answer.set_exception(error)

    def done(self) -> bool:  # noqa: D102
        return self._answer.done()

    def result(self) -> Floats:  # noqa: D102
        return self._answer.result()

    measured = result

    def leave(self) -> None:
        """Waits for its end: nobody else may be evaluating when the run says that it has stopped."""
        self._thread.join()


def _evaluate(problem: Problem, bits: Bits) -> Floats:
    """Objectives float64[K] of uint8[Q]; a problem of one's own may use torch, too."""
    with computing():
        return evaluate_one(problem, bits)


def failure(cause: BaseException, done: int) -> NemoError:
    """The error that tells a caller what ended a run after so many evaluations."""
    if isinstance(cause, StorageError):
        return StorageError(cause.message, cause.hint)
    return EvaluationError(
        f"the run failed after {done} evaluations: {type(cause).__name__}: {cause}",
        "nothing evaluated is lost; fix the cause and call start() again, or undo() what brought it",
    )
