"""Evaluations in other processes, or on other machines: by any executor of ``concurrent.futures``.

The problem travels once to each process. A task names it by a digest of what was sent; where nobody knows
that digest yet, the task comes back, and goes out again with the problem in it.
"""

from __future__ import annotations

import hashlib
import pickle
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nemo_lab.arguments import Domain
from nemo_lab.errors import ArgumentError, EvaluationError
from nemo_lab.interruption import LOOK_UP, check_interrupted
from nemo_lab.search import Problem
from nemo_lab.search.problem import evaluate_one
from nemo_lab.search.species import Bits

Floats = NDArray[np.float64]
HELD = 2  # problems that a process remembers
AT_ONCE = 4  # where an executor does not say how many workers it has


class Executor(Protocol):
    """What takes tasks, such as a ``ProcessPoolExecutor``, or what Dask's ``Client.get_executor()`` gives."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Have a function called somewhere."""


@dataclass(frozen=True)
class OfExecutors(Domain[Executor]):
    """What takes tasks."""

    def described(self) -> str:
        """The domain in words."""
        return "an executor of concurrent.futures, such as ProcessPoolExecutor(4)"

    def clean(self, value: Any) -> Executor:
        """The executor itself."""
        if isinstance(value, type) or not callable(value.submit):
            raise TypeError
        executor: Executor = value
        return executor


@dataclass(frozen=True)
class Failure:
    """An evaluation that raised.

    Attributes:
        error: what it raised; in words alone where that cannot be sent.
    """

    error: BaseException


class Elsewhere:
    """A problem, on an executor.

    Args:
        executor: it is not shut down here.
        problem: whose evaluator is called there.

    Raises:
        ArgumentError: if the problem cannot be pickled.
    """

    def __init__(self, executor: Executor, problem: Problem) -> None:
        self._executor, self._data = executor, _packed(problem)
        self._digest = hashlib.sha256(self._data).hexdigest()

    def evaluate(self, rows: Sequence[Bits]) -> Iterator[Floats]:
        """Objectives of every configuration in its turn, all at once.

        Raises:
            EvaluationError: if the executor has lost a worker, or does not take tasks any more.
            Interrupted: see ``check_interrupted``; what has begun elsewhere is made to its end in vain.
        """
        out: list[Future[Any]] = []
        try:
            out += [self._sent(row, None) for row in rows]
            for place, row in enumerate(rows):
                answer = _answer(out[place])
                if answer is None:
                    out[place] = self._sent(row, self._data)
                    answer = _answer(out[place])
                if isinstance(answer, Failure):
                    raise answer.error
                yield answer
        finally:
            for future in out:
                future.cancel()

    def _sent(self, row: Bits, data: bytes | None) -> Future[Any]:
        try:
            future: Future[Any] = self._executor.submit(evaluate_there, self._digest, data, row)
        except Exception as error:
            raise EvaluationError(
                f"the executor takes no task: {type(error).__name__}: {error}",
                "load the study again with another executor",
            ) from error
        return future


def workers_of(executor: Executor) -> int:
    """How many tasks an executor makes at once, as far as it says so."""
    known = getattr(executor, "_max_workers", None)
    client: Any = getattr(executor, "_client", None)  # Dask's
    if known is None and hasattr(client, "nthreads"):
        known = sum(client.nthreads().values())
    return known if isinstance(known, int) and known > 0 else AT_ONCE


def _packed(problem: Problem) -> bytes:
    import cloudpickle

    try:
        return bytes(cloudpickle.dumps(problem))
    except ArgumentError:
        raise
    except Exception as error:
        raise ArgumentError(
            f"the problem cannot be sent to another process: {type(error).__name__}: {error}",
            "see that it holds no open file, lock or connection, or leave out executor=",
        ) from error


def _answer(future: Future[Any]) -> Any:
    """What came of a task; whoever waits can be cancelled."""
    while not future.done():
        check_interrupted()
        wait([future], LOOK_UP)
    try:
        return future.result()
    except BrokenExecutor as error:
        raise EvaluationError(
            f"a worker of the executor has died: {error}",
            "load the study again with a new executor; if it dies again, look at how much memory there is",
        ) from error


# what is called in the other process

_problems: OrderedDict[str, Problem] = OrderedDict()
_arriving = threading.Lock()


def evaluate_there(digest: str, data: bytes | None, row: Bits) -> Floats | Failure | None:
    """Objectives of a configuration, or why there are none; None where the problem is not known."""
    with _arriving:
        problem = _problems.get(digest)
        if problem is None:
            if data is None:
                return None
            problem = _problems[digest] = pickle.loads(data)  # noqa: S301  from who starts this process, too
            while len(_problems) > HELD:
                _problems.popitem(last=False)
    try:
        return evaluate_one(problem, row)
    except Exception as error:
        return Failure(_sendable(error))


def _sendable(error: Exception) -> Exception:
    """The error, or the same in words where it would not arrive."""
    with suppress(Exception):  # whatever an error of somebody's own needs to be made
        if type(pickle.loads(pickle.dumps(error))) is type(error):  # noqa: S301  our own
            return error
    return RuntimeError(f"{type(error).__name__}: {error}")
