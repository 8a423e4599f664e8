"""Things a person should know of though nothing failed: a warning, or a line on the dashboard."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from nemo_lab.errors import NemoWarning

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
