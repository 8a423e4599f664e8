"""Cooperative cancelling: the caller says when to stop, the evaluation checks now and then."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

LOOK_UP = 0.05  # seconds between two checks while waiting for a lock

_asked: ContextVar[Callable[[], bool] | None] = ContextVar("nemo_lab_interruption", default=None)
_meanwhile: list[Callable[[], None]] = []


class Interrupted(BaseException):
    """An evaluation is cancelled; not an ``Exception``, so that no ``except Exception`` swallows it."""


@contextmanager
def interruptible(asked: Callable[[], bool]) -> Iterator[None]:
    """Have ``check_interrupted`` raise in the body once ``asked`` returns true, or one outside of it does.

    Args:
        asked: called often, on the thread of the body; it must return at once.
    """
    outer = _asked.get()
    token = _asked.set(asked if outer is None else lambda: asked() or outer())
    try:
        yield
    finally:
        _asked.reset(token)


@contextmanager
def looking_up(see_to: Callable[[], None]) -> Iterator[None]:
    """Have every thread of the process call ``see_to`` at each ``check_interrupted``, while the body runs."""
    _meanwhile.append(see_to)
    try:
        yield
    finally:
        _meanwhile.remove(see_to)


def check_interrupted() -> None:
    """Call this now and then in a long ``evaluate``, and the run can be stopped there.

    It costs less than a microsecond, and does nothing while the run goes on, except that another thread
    may trace a network meanwhile. What was measured so far is dropped: the same configuration is evaluated
    again when the run goes on, so leave nothing half done. A thread of your own sees it if it runs in
    ``contextvars.copy_context()``.

    Raises:
        Interrupted: if the caller has cancelled the evaluation; do not catch it.

    >>> import nemo_lab as nl
    >>> def evaluate(batches):
    ...     total = 0
    ...     for batch in batches:
    ...         nl.check_interrupted()
    ...         total += batch
    ...     return total
    >>> evaluate([1, 2, 3])
    6
    """
    asked = _asked.get()
    if asked is not None and asked():
        raise Interrupted
    for see_to in tuple(_meanwhile) if _meanwhile else ():
        see_to()


@contextmanager
def held(lock: threading.Lock) -> Iterator[None]:
    """Hold a lock; a caller that waits for it can be cancelled.

    Raises:
        Interrupted: see ``check_interrupted``.
    """
    while not lock.acquire(timeout=LOOK_UP):
        check_interrupted()
    try:
        yield
    finally:
        lock.release()
