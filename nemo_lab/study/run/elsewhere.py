"""Evaluations in other processes, or on other machines: by any executor of ``concurrent.futures``.

The problem travels once to each process. A task names it by a digest of what was sent; where nobody knows
that digest yet, the task comes back, and goes out again with the problem in it.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nemo_lab.arguments import Domain
from nemo_lab.errors import ArgumentError, EvaluationError, NemoError, shown
from nemo_lab.search import Problem
from nemo_lab.search.species import Bits
from nemo_lab.study.run.processes import Processes
from nemo_lab.study.run.there import Failure, evaluate_there

Floats = NDArray[np.float64]
AT_ONCE = 4  # where an executor does not say how many workers it has
TRIES = 3  # workers that may die of one configuration
DEADLY = "KilledWorker"  # Dask has tried it on several
GONE = "start() goes on once it is back, and load_study(path, executor=...) with another cluster"
ANOTHER = "load the study again with another executor, and look at how much memory is left"


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


class Elsewhere:
    """A problem, on an executor.

    Args:
        executor: it is not shut down here.
        problem: whose evaluator is called there.

    Attributes:
        data: what the problem was packed into.
        tries: how often a task is sent that the executor loses.

    Raises:
        ArgumentError: if the problem cannot be pickled.
    """

    def __init__(self, executor: Executor, problem: Problem) -> None:
        self._executor, self.data = executor, _packed(problem)
        self._digest = hashlib.sha256(self.data).hexdigest()
        self._own = executor if isinstance(executor, Processes) else None
        self._marks = itertools.count()
        self._client: Any = getattr(executor, "_client", None)  # Dask's
        self.tries = TRIES if self._own or self._client else 1  # others break as a whole

    @property
    def gone(self) -> bool:
        """Whether a cluster of Dask's cannot be reached."""
        return self._client is not None and self._client.status != "running"

    def begin(self, row: Bits, came: Callable[[], None]) -> Sent:
        """Have a configuration evaluated; ``came`` is called when there is an answer.

        Raises:
            EvaluationError: if the executor does not take tasks any more.
        """
        if self.gone:
            raise EvaluationError("the scheduler of the cluster is gone", GONE)
        mark = None if self._own is None else self._own.folder / str(next(self._marks))
        return Sent(self, row, came, mark)

    def submit(self, row: Bits, mark: Path | None, data: Any) -> Future[Any]:
        """Have a task made, with the problem's ``data`` or None, for a worker that knows it."""
        try:
            future: Future[Any] = self._executor.submit(evaluate_there, self._digest, data, row, mark)
        except BrokenExecutor:
            raise
        except Exception as error:
            raise EvaluationError(
                f"the executor takes no task: {type(error).__name__}: {error}", ANOTHER
            ) from error
        return future

    def leave(self, task: Future[Any]) -> None:
        """A task is not needed any more. Dask makes it: with one that is cancelled it may lose others."""
        if self._own is not None:
            self._own.leave(task)
        elif self._client is None:
            task.cancel()


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
            "see that it holds no open file, lock or connection, or use workers=1 and no executor=",
        ) from error


class Sent:
    """An evaluation elsewhere.

    Args:
        elsewhere: where.
        row: the configuration uint8[Q].
        came: is called when there is an answer.
        mark: a file that is made once it is left; None where nobody would look for one.
    """

    def __init__(self, elsewhere: Elsewhere, row: Bits, came: Callable[[], None], mark: Path | None) -> None:
        self._elsewhere, self._row, self._mark = elsewhere, row, mark
        self._lost, self._answer, self._task = 0, Future[Any](), Future[Any]()
        self._left = False
        self._answer.add_done_callback(lambda _: came())
        self._go(None)

    def _go(self, data: Any) -> None:
        try:
            self._task = self._elsewhere.submit(self._row, self._mark, data)
            if self._left:  # meanwhile
                self._elsewhere.leave(self._task)
            self._task.add_done_callback(self._came)
        except BrokenExecutor as error:
            self._answer.set_exception(error)

    def _came(self, task: Future[Any]) -> None:
        """On a thread of the executor: at once, others wait for a worker, too."""
        if self._left:
            return
        with suppress(InvalidStateError):
            try:
                found = self._found(task)
                if found is None:
                    self._go(self._elsewhere.data)
                else:
                    self._answer.set_result(found)
            except BaseException as error:
                self._answer.set_exception(error)

    def _found(self, task: Future[Any]) -> Any:
        """What a task gave, None if it is to be sent again; an error of the evaluation is a ``Failure``."""
        try:
            return task.result()
        except Exception as error:
            self._lost += 1
            final = self._elsewhere.gone or type(error).__name__ == DEADLY
            if final or self._lost >= self._elsewhere.tries:
                raise
            return None

    def done(self) -> bool:
        """Whether there is an answer."""
        return self._answer.done()

    def result(self) -> Floats:
        """Objectives float[K].

        Raises:
            EvaluationError: if the executor has lost the worker, or does not take tasks any more.
        """
        try:
            found = self._answer.result()
        except NemoError:
            raise
        except Exception as error:
            if self._elsewhere.gone:
                raise EvaluationError("the scheduler of the cluster is gone", GONE) from error
            if self._lost > 1 or type(error).__name__ == DEADLY:
                raise EvaluationError(
                    f"all workers that tried {shown(self._row.tolist())} have died: {error}",
                    "pin a node to keep the search away from it, or look at how much memory is left",
                ) from error
            died = isinstance(error, BrokenExecutor)
            what = "a worker of the executor has died" if died else "the executor has lost a task"
            raise EvaluationError(f"{what}: {type(error).__name__}: {error}", ANOTHER) from error
        if isinstance(found, Failure):
            raise found.error
        objectives: Floats = found
        return objectives

    measured = result

    def leave(self) -> None:
        """What has not begun is not begun; what has is made to its end in vain, or is left."""
        self._left = True
        self._answer.cancel()
        if self._mark is not None:
            with suppress(OSError):
                self._mark.touch()
        self._elsewhere.leave(self._task)
