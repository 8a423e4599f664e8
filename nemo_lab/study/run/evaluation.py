"""Calling a problem's evaluator, several times at once where there are workers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextvars import copy_context

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


class Evaluator:
    """Evaluates the configurations of a run, and those that people ask for beside it.

    Args:
        problem: whose evaluator is called.
        known: objectives float[K] of the bytes of uint8[Q], None if nobody measured them; such are not
            evaluated again. It is asked each time: others measure meanwhile.
        remember: is told what was measured beside the run, where it is kept.
        reused: so many of the run were known before it was taken up.
        elsewhere: evaluates those of the run in other processes.

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
    ) -> None:
        self._problem, self._measured_before = problem, known
        self._answers: dict[bytes, Floats] = {}
        self._remember, self._elsewhere = remember, elsewhere
        self.reused = reused

    def evaluate(self, rows: Sequence[Bits]) -> Iterator[Floats]:
        """Objectives of every configuration in its turn."""
        known = [self._known(bits.tobytes()) for bits in rows]
        new = [bits for bits, found in zip(rows, known, strict=True) if found is None]
        fresh = evaluate_all(self._problem, new) if self._elsewhere is None else self._elsewhere.evaluate(new)
        for found in known:
            self.reused += found is not None
            yield next(fresh) if found is None else found

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
                known = self._answers[key] = _evaluate(self._problem, bits)
            if self._remember is not None:
                self._remember(bits, known)
        return known

    def _known(self, key: bytes) -> Floats | None:
        if key in self._answers or self._measured_before is None:
            return self._answers.get(key)
        return self._measured_before(key)


def evaluate_all(problem: Problem, rows: Sequence[Bits]) -> Iterator[Floats]:
    """Objectives of every configuration in its turn, all at once in threads where there is more than one.

    The threads can be interrupted as the caller can, and have ended when this ends, also where one of them
    cannot be begun. They are no
    ``ThreadPoolExecutor``'s: Python waits for one of those before it lets anybody say that it exits.
    """
    if len(rows) == 1:
        yield _evaluate(problem, rows[0])
        return

    def evaluate(row: Bits, answer: Answer) -> None:
        try:
            answer.set_result(_evaluate(problem, row))
        except BaseException as error:
            answer.set_exception(error)

    answers = [Answer() for _ in rows]
    threads = [
        threading.Thread(
            target=copy_context().run, args=(evaluate, row, answer), name="nemo_lab evaluator", daemon=True
        )
        for row, answer in zip(rows, answers, strict=True)
    ]
    begun: list[threading.Thread] = []
    try:
        for thread in threads:
            thread.start()
            begun.append(thread)
        for answer in answers:
            yield answer.result()
    finally:
        for thread in begun:
            thread.join()


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
