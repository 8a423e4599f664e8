"""What has to end before Python does."""

from __future__ import annotations

import atexit
import contextlib
import weakref
from typing import Protocol


class Closable(Protocol):
    """Something with a thread, a file or a place on a page."""

    def close(self) -> None:
        """End it; blocks until it has ended, and does nothing the second time."""
        ...


_open: weakref.WeakValueDictionary[int, Closable] = weakref.WeakValueDictionary()


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
