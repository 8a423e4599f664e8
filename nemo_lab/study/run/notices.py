"""Things a person should know of though nothing failed: a warning, or a line on the dashboard."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType

from nemo_lab.errors import NemoWarning
from nemo_lab.study.results.snapshot import Snapshot

_collected: ContextVar[list[str] | None] = ContextVar("nemo_lab_notices", default=None)


def notice(message: str) -> None:
    """Warn whoever called nemo_lab, or add to what ``collect`` collects in this context."""
    collected = _collected.get()
    if collected is None:
        warnings.warn(message, NemoWarning, stacklevel=_frames_of_ours() + 1)
    else:
        collected.append(message)


@contextmanager
def collect() -> Iterator[list[str]]:
    """Gather this thread's notices in a list rather than print them as warnings."""
    gathered: list[str] = []
    token = _collected.set(gathered)
    try:
        yield gathered
    finally:
        _collected.reset(token)


def tell_of_waiting(snapshot: Snapshot) -> None:
    """Say that projected configurations wait, if no run is on that would evaluate them."""
    if snapshot.waiting and snapshot.state in ("finished", "failed"):
        notice(
            f"the study is {snapshot.state}: {snapshot.waiting} projected configurations wait; "
            f"call start({snapshot.waiting}), or press Start, to evaluate them"
        )


def _frames_of_ours() -> int:
    """How many calls lie between here and the code of others."""
    count = 0
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and str(frame.f_globals.get("__name__", "")).split(".")[0] == "nemo_lab":
        count, frame = count + 1, frame.f_back
    return count
