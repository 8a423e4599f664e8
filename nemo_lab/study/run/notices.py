"""Things a person should know of though nothing failed: a warning, or a line on the dashboard."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from nemo_lab.errors import NemoWarning
from nemo_lab.study.results.snapshot import Snapshot

_collected: ContextVar[list[str] | None] = ContextVar("nemo_lab_notices", default=None)


def notice(message: str, stacklevel: int = 3) -> None:
    """Warn the caller of the caller, or add to what ``collect`` collects in this context."""
    collected = _collected.get()
    if collected is None:
        warnings.warn(message, NemoWarning, stacklevel=stacklevel)
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
            f"call start({snapshot.waiting}), or press Start, to evaluate them",
            stacklevel=4,
        )
