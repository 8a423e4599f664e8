"""What has to end before Python does."""

from __future__ import annotations

import atexit
import weakref
from typing import Protocol


class Closable(Protocol):
    """Something with a thread or a file."""

    def close(self) -> None:
        """End it; blocks."""
        ...


_open: weakref.WeakSet[Closable] = weakref.WeakSet()


def close_at_exit(one: Closable) -> None:
    """Close it when Python exits, if it is still there: a thread inside torch cannot be torn down."""
    _open.add(one)


@atexit.register
def _close_all() -> None:
    for one in list(_open):
        one.close()
