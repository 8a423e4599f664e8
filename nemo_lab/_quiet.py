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
OF_LIBRARIES = {  # filters that libraries set when they are imported: action, message or category
    ("ignore", "torch::jit::fuser::cuda"): "torch",
    ("ignore", "torch.jit._trace.TracerWarning"): "torch",
    ("ignore", ".*is in beta and the API may change.*"): "torch_geometric",
    ("once", "sympy.utilities.exceptions.SymPyDeprecationWarning"): "sympy",
    ("always", "scipy.special._sf_error.SpecialFunctionWarning"): "scipy.special",
    ("ignore", "the matrix subclass is not the recommended way"): "scipy.sparse",
    ("always", "urllib3.exceptions.SecurityWarning"): "urllib3",
    ("default", "urllib3.exceptions.InsecurePlatformWarning"): "urllib3",
    ("ignore", "urllib3.exceptions.DependencyWarning"): "requests",
    ("default", "requests.exceptions.FileModeWarning"): "requests",
}

_here = threading.local()
_users = threading.Lock()
_count = 0  # of threads and depths that the one filter serves


class _OfQuietThread(type):
    """A kind of warning is a subclass of such a class in a thread that is quiet about it, and in no other."""

    def __subclasscheck__(cls, kind: type) -> bool:
        return any(issubclass(kind, one) for one in getattr(_here, "kinds", ()))


class _Hushed(Warning, metaclass=_OfQuietThread):
    """What a quiet thread is warned of."""


@contextmanager
def no_warnings(of: type[Warning] = Warning) -> Iterator[None]:
    """Ignore what the body warns of, in this thread alone: warnings of one kind, or all.

    All threads share one filter, which the last one drops.
    """
    global _count
    with _users:
        _count += 1
        _here.kinds = (*getattr(_here, "kinds", ()), of)
        if not warnings.filters or warnings.filters[0][2] is not _Hushed:
            warnings.simplefilter("ignore", _Hushed)  # in front, whatever others have set meanwhile
    try:
        yield
    finally:
        with _users:
            _count -= 1
            _here.kinds = _here.kinds[:-1]
            if not _count:
                _drop(lambda one: one[2] is _Hushed)


@contextmanager
def importing() -> Iterator[None]:
    """Import in the body, and leave the process's filters of warnings and its environment as they were.

    Taken away is what a library that was not there before is known to set, and nothing else: other threads
    set filters and variables meanwhile. What a library of another version sets in its place stays.
    """
    loaded, known, variable = set(sys.modules), list(warnings.filters), os.environ.get(VARIABLE)
    try:
        yield
    finally:
        _drop(lambda one: one not in known and _by_library(one, loaded))
        if variable is None and os.environ.get(VARIABLE) == _torchs_own():
            os.environ.pop(VARIABLE, None)


def _by_library(one: Any, loaded: set[str]) -> bool:
    """Whether a filter is one that a library sets which was not loaded then."""
    action, message, category, *_ = one
    named = f"{category.__module__}.{category.__qualname__}" if message is None else message.pattern
    library = OF_LIBRARIES.get((action, named))
    return library is not None and library in sys.modules and library not in loaded


def _torchs_own() -> str | None:
    """What torch sets the variable to where nobody has set it."""
    place = getattr(sys.modules.get("torch._inductor.runtime.cache_dir_utils"), "default_cache_dir", None)
    return None if place is None else os.path.abspath(place())


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
