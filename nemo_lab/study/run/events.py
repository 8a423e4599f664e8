"""Who wants to hear of every new snapshot."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import MethodType

from nemo_lab.study.run.inside import inside

LOGGER = logging.getLogger(__name__)


class Listeners:
    """Something that tells of its snapshots."""

    def __init__(self) -> None:
        self._listeners: tuple[Callable[[], None], ...] = ()
        self._changing = threading.Lock()  # they come and go from any thread

    def listen(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after every snapshot; it must return at once."""
        with self._changing:
            self._listeners = (*self._listeners, listener)

    def forget(self, listener: Callable[[], None]) -> None:
        """Take a listener back."""
        with self._changing:
            self._listeners = tuple(one for one in self._listeners if not _same(one, listener))

    def tell_listeners(self) -> None:
        """Call every listener, as after a snapshot."""
        for listener in self._listeners:
            try:
                with inside(self):
                    listener()
            except Exception:
                LOGGER.exception("a listener of the study failed and is not called again")
                self.forget(listener)


def _same(one: Callable[[], None], other: Callable[[], None]) -> bool:
    """Whether two are one listener: a method of an object is another object each time it is asked for."""
    return one is other or (isinstance(one, MethodType) and isinstance(other, MethodType) and one == other)
