"""Warnings and log lines of other libraries, kept from people without a change that other threads could see.

``warnings.catch_warnings`` puts back a list of filters for the whole process: in two threads that overlap it
drops what one of them set, or leaves for good what was meant for a moment.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

VARIABLE = "TORCHINDUCTOR_CACHE_DIR"  # set by a part of torch when it is imported

_quiet = threading.local()


class _OfQuietThread(type):
    """A kind of warning is a subclass of such a class in a thread that is quiet, and in no other."""

    def __subclasscheck__(cls, kind: type) -> bool:
        return getattr(_quiet, "depth", 0) > 0


class _Hushed(Warning, metaclass=_OfQuietThread):
    """What a quiet thread is warned of."""


@contextmanager
def no_warnings() -> Iterator[None]:
    """Ignore what the body warns of, in this thread alone."""
    _quiet.depth = getattr(_quiet, "depth", 0) + 1
    warnings.simplefilter("ignore", _Hushed)
    try:
        yield
    finally:
        _quiet.depth -= 1
        _drop(lambda one: one[2] is _Hushed)


@contextmanager
def importing() -> Iterator[None]:
    """Import in the body, and leave the process's filters of warnings and its environment as they were."""
    loaded, known, variable = set(sys.modules), list(warnings.filters), os.environ.get(VARIABLE)
    try:
        yield
    finally:
        _drop(lambda one: one not in known and _by_library(one, loaded))
        if variable is None:
            os.environ.pop(VARIABLE, None)


def _by_library(one: Any, loaded: set[str]) -> bool:
    """Whether a filter looks like that of a library: for one message, or for warnings of its own."""
    return one[1] is not None or one[2].__module__ not in loaded


def _drop(those: Any) -> None:
    for one in [one for one in warnings.filters if those(one)]:
        try:
            warnings.filters.remove(one)  # type: ignore[attr-defined]
        except ValueError:  # another thread was faster
            continue


@contextmanager
def no_logging(name: str) -> Iterator[None]:
    """What this thread logs in the body does not come out of the handlers below the logger of that name."""
    me = threading.get_ident()

    def of_others(record: logging.LogRecord) -> bool:
        return record.thread != me

    loggers = [
        one
        for known, one in list(logging.root.manager.loggerDict.items())
        if f"{known}.".startswith(f"{name}.")
    ]
    handlers = [handler for one in loggers if isinstance(one, logging.Logger) for handler in one.handlers]
    for handler in handlers:
        handler.addFilter(of_others)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(of_others)
