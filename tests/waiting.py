"""How tests wait: for what they mean to see, with one generous limit, never for a time."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import TypeVar

import numpy as np

PATIENCE = 300.0  # seconds, for whatever comes about in a moment on a machine with nothing else to do
Seen = TypeVar("Seen")


def until(
    look: Callable[[], Seen],
    what: str | Callable[[], str] = "what the test waits for",
    *,
    pause: Callable[[], object] = lambda: time.sleep(0.005),
) -> Seen:
    """Look again and again until there is something to be seen, and give that.

    Args:
        look: gives something true once it has come about.
        what: is waited for, for the message.
        pause: between two looks; a browser's page has its own.

    Raises:
        TimeoutError: if it does not come about.
    """
    deadline = time.monotonic() + PATIENCE
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what if isinstance(what, str) else what()}: not seen in {PATIENCE:g} s")
        pause()
    return seen


def still(look: Callable[[], Seen], *, pause: Callable[[], object]) -> Seen:
    """What is seen once two looks in a row see the same.

    Raises:
        TimeoutError: if it goes on changing.
    """
    seen = [look()]
    pause()

    def same() -> bool:
        seen.append(look())
        return np.array_equal(seen[-1], seen[-2])

    until(same, "what stands still", pause=pause)
    return seen[-1]


def waits(thread: threading.Thread) -> bool:
    """Whether a thread has come to wait for something itself, such as the answer to what it asked."""
    at = sys._current_frames().get(thread.ident or 0)
    return at is not None and "wait" in {frame.f_code.co_name for frame, _ in traceback.walk_stack(at)}
