"""Calling a problem's evaluator, several times at once where there are workers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextvars import copy_context

import numpy as np
from numpy.typing import NDArray

from nemo_lab.errors import EvaluationError, NemoError, StorageError
from nemo_lab.interruption import interruptible
from nemo_lab.search import Problem
from nemo_lab.search.problem import evaluate_one
from nemo_lab.search.species import Bits

Answer = Future[NDArray[np.float64]]


def evaluate_all(problem: Problem, rows: Sequence[Bits]) -> Iterator[NDArray[np.float64]]:
    """Objectives of every configuration in its turn, all at once in threads where there is more than one.

    The threads can be interrupted as the caller can, and have ended when this ends. They are no
    ``ThreadPoolExecutor``'s: Python waits for one of those before it lets anybody say that it exits.
    """
    if len(rows) == 1:
        yield evaluate_one(problem, rows[0])
        return

    def evaluate(row: Bits, answer: Answer) -> None:
        try:
            answer.set_result(evaluate_one(problem, row))
        except BaseException as error:
            answer.set_exception(error)

    answers = [Answer() for _ in rows]
    threads = [
        threading.Thread(
            target=copy_context().run, args=(evaluate, row, answer), name="nemo_lab evaluator", daemon=True
        )
        for row, answer in zip(rows, answers, strict=True)
    ]
    for thread in threads:
        thread.start()
    try:
        for answer in answers:
            yield answer.result()
    finally:
        for thread in threads:
            thread.join()


def evaluate_beside(problem: Problem, asked: Callable[[], bool], bits: Bits) -> NDArray[np.float64]:
    """Objectives of a configuration that is no part of a run; left half-way once ``asked`` returns true."""
    with interruptible(asked):
        return evaluate_one(problem, bits)


def failure(cause: BaseException, done: int) -> NemoError:
    """The error that tells a caller what ended a run after so many evaluations."""
    if isinstance(cause, StorageError):
        return StorageError(cause.message, cause.hint)
    return EvaluationError(
        f"the run failed after {done} evaluations: {type(cause).__name__}: {cause}",
        "nothing evaluated is lost; mend the cause and call start() again",
    )
