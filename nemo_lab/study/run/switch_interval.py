"""Keeps the notebook's main thread answering while a run is on in another."""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SWITCH_INTERVAL = 0.0005  # seconds; Python's default is ten times that

_lock = threading.Lock()
_intervals: list[float] = []  # what each body found; the first is the one to give back


@contextmanager
def responsive() -> Iterator[None]:
    """Have Python's threads take turns more often while the body runs.

    A kernel passes the interpreter lock a dozen times to answer one cell, and waits up to a switch
    interval each time a busy thread holds it. Where bodies overlap, the last one out gives back
    what the first one in found, unless somebody has set another meanwhile.

    The interval is the whole process's, and the one such setting that a run changes: threads take turns
    sooner, each computes what it would have.
    """
    with _lock:
        _intervals.append(sys.getswitchinterval())
        sys.setswitchinterval(min(SWITCH_INTERVAL, _intervals[0]))
    try:
        yield
    finally:
        with _lock:
            ours = min(SWITCH_INTERVAL, _intervals[0])
            if len(_intervals) == 1 and math.isclose(sys.getswitchinterval(), ours, rel_tol=0.01):
                sys.setswitchinterval(_intervals[0])
            _intervals.pop()
