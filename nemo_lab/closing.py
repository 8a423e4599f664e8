"""What has to end before Python does, or once nobody holds it any more."""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing.util  # noqa: F401  ends child processes at exit: after ours, being there before
import queue
import threading
import weakref
from collections.abc import Callable
from typing import Protocol

PATIENCE = 5.0  # seconds for what has to be closed before


class Closable(Protocol):
    """Something with a thread, a file or a place on a page."""

    def close(self) -> None:
        """End it; blocks until it has ended, and does nothing the second time."""
        ...


_open: weakref.WeakValueDictionary[int, Closable] = weakref.WeakValueDictionary()
_waiting: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
_closer: list[threading.Thread] = []
_guard = threading.Lock()


def close_at_exit(one: Closable) -> None:
    """Close it when Python exits, if it is still there: a thread inside torch cannot be torn down.

    What was registered last is closed first, since it may use what was there before it.
    """
    _open[id(one)] = one


@atexit.register
def _close_all() -> None:
    with contextlib.ExitStack() as stack:  # one that fails keeps none of the others from being closed
        for one in list(_open.values()):
            stack.callback(one.close)


def when_collected(owner: object, close: Callable[[], object]) -> None:
    """Have something called once nobody holds its owner, soon and by a thread of its own.

    Python collects in the middle of whatever any thread does, with whatever locks it holds: nothing that
    waits for a lock may be called there.
    """
    with _guard:
        if not any(thread.is_alive() for thread in _closer):
            _closer[:] = [threading.Thread(target=_serve, name="nemo_lab closer", daemon=True)]
            _closer[0].start()
    weakref.finalize(owner, _waiting.put, close).atexit = False


def catch_up() -> None:
    """Wait for what has been collected by now to be closed."""
    if any(thread.is_alive() for thread in _closer) and threading.current_thread() not in _closer:
        done = threading.Event()
        _waiting.put(done.set)
        done.wait(PATIENCE)


def _serve() -> None:
    while True:
        with contextlib.suppress(Exception):  # nobody is there to be told
            _waiting.get()()
