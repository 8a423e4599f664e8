"""Whether whoever calls is a part of a run himself: what waits for that run would wait for ever."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from nemo_lab.errors import StudyStateError

_runs: ContextVar[tuple[object, ...]] = ContextVar("nemo_lab_runs", default=())


@contextmanager
def inside(run: object) -> Iterator[None]:
    """All that is called in the body is a part of this run: evaluations, species, listeners."""
    token = _runs.set((*_runs.get(), run))
    try:
        yield
    finally:
        _runs.reset(token)


def is_inside(run: object) -> bool:
    """Whether this is called by a part of that run, in any of its threads."""
    return any(one is run for one in _runs.get())


def check_outside(run: object, what: str) -> None:
    """Refuse to wait for a run in a part of it.

    Raises:
        StudyStateError: if this is called by an evaluation, a species or a listener of the run.
    """
    if is_inside(run):
        raise StudyStateError(
            f"{what} would wait for the run that calls it, for ever",
            "call it from another thread, or once the run has ended",
        )
