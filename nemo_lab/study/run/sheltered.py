"""What Ctrl-C cannot part: the main thread waits, another one does the work."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, ParamSpec, TypeVar

from nemo_lab.interruption import LOOK_UP, interruptible

P = ParamSpec("P")
R = TypeVar("R")


def sheltered(method: Callable[P, R]) -> Callable[P, R]:
    """Have another thread do what the main thread calls, in which Ctrl-C may be raised anywhere.

    The first Ctrl-C asks the work to end, as ``interruptible`` does, and waits until it has: it is done or it
    is not, and no lock stays behind. The second leaves it to itself.

    >>> import threading
    >>> @sheltered
    ... def at_work():
    ...     return threading.current_thread() is threading.main_thread()
    >>> at_work()
    False
    """

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if threading.current_thread() is not threading.main_thread():
            return method(*args, **kwargs)
        answers: list[tuple[Any, BaseException | None]] = []
        begun: list[bool] = []
        left: list[bool] = []
        ended = threading.Lock()  # whole wherever Ctrl-C comes, as events and conditions are not
        ended.acquire()

        def work() -> None:
            begun.append(True)  # before it looks whether it was left, which is said before it looks at this
            try:
                if left:
                    raise KeyboardInterrupt
                with interruptible(lambda: bool(left)):
                    answers.append((method(*args, **kwargs), None))
            except BaseException as error:
                answers.append((None, error))
            finally:
                ended.release()

        def wait() -> None:
            while not answers:  # a signal that another thread gets wakes nobody
                ended.acquire(timeout=LOOK_UP)

        worker = threading.Thread(
            target=copy_context().run, args=(work,), name="nemo_lab caller", daemon=True
        )
        try:
            try:
                worker.start()
            except RuntimeError:  # there is none to be had, as where Python exits
                return method(*args, **kwargs)
            wait()
        except KeyboardInterrupt:
            left.append(True)
            if begun:  # it may have come while the thread was being started; work that is left does not begin
                wait()
            raise
        answer, error = answers.pop()
        if error is not None:
            raise error
        return answer  # type: ignore[no-any-return]

    return call
