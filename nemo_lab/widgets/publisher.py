"""The one thread that writes widgets: the latest state wins, a few times a second."""

from __future__ import annotations

import atexit
import contextvars
import functools
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable

from nemo_lab.study.notices import collect

RATE = 4.0  # at most so many updates a second


_publishers: weakref.WeakSet[Publisher] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Let what is under way end: a thread that is inside torch cannot be torn down."""
    for publisher in list(_publishers):
        publisher.close(wait=True)


def _nothing() -> None:
    pass


def _raise(error: Exception) -> None:
    raise error


class Publisher:
    """Carries out what people asked for, then draws; both away from Jupyter's threads.

    Args:
        draw: writes the widgets; called by this thread only, never twice at once.
        tell: takes what people should know after each action, nothing or an error; called by this thread.

    Callbacks of widgets call ``do`` and return, whatever thread they came on.
    """

    def __init__(self, draw: Callable[[], None], tell: Callable[[str], None]) -> None:
        self._draw = draw
        self._tell = tell
        self._actions: deque[Callable[[], None]] = deque()
        self._wake = threading.Event()
        self._closed = threading.Event()
        # ipykernel finds the notebook to publish to in the context of the cell that made the widget
        context = contextvars.copy_context()
        self._threads = [
            threading.Thread(target=context.run, args=(self._run,), name="nemo_lab publisher", daemon=True)
        ]
        self._threads[0].start()
        _publishers.add(self)

    def wake(self) -> None:
        """Something changed: draw soon."""
        self._wake.set()

    def do(self, action: Callable[[], None]) -> None:
        """Carry out an action soon, then draw."""
        self._actions.append(action)
        self._wake.set()

    def now(self, action: Callable[[], None]) -> None:
        """Carry out an action here and now, one that only sets a flag; tell of its error, then draw."""
        try:
            action()
        except Exception as error:
            self.do(functools.partial(_raise, error))
        else:
            self.do(_nothing)  # the notice about an earlier action goes

    def aside(self, action: Callable[[], object]) -> None:
        """Carry out a slow action on a thread of its own, then draw; it should look at ``closed``."""

        def run() -> None:
            try:
                action()
                self._wake.set()
            except Exception as error:
                self.do(functools.partial(_raise, error))

        self._threads.append(threading.Thread(target=run, name="nemo_lab aside", daemon=True))
        self._threads[-1].start()

    @property
    def closed(self) -> bool:
        """Whether the thread is to end."""
        return self._closed.is_set()

    def close(self, *, wait: bool = False) -> None:
        """End the thread; with ``wait`` however long what is under way may take."""
        self._closed.set()
        self._wake.set()
        for thread in self._threads if wait else self._threads[:1]:
            if thread is not threading.current_thread():
                thread.join(None if wait else 5)

    def _run(self) -> None:
        while not self._closed.is_set():
            self._wake.wait()
            if self._closed.is_set():
                return
            self._wake.clear()
            began = time.monotonic()
            while self._actions and not self._closed.is_set():
                action = self._actions.popleft()
                try:
                    with collect() as notices:
                        action()
                    self._tell("; ".join(notices))
                except Exception as error:
                    self._tell(str(error) or type(error).__name__)
            try:
                self._draw()
            except Exception as error:
                self._tell(f"the dashboard could not be drawn: {type(error).__name__}: {error}")
            if not self._closed.is_set():
                time.sleep(max(0.0, 1.0 / RATE - (time.monotonic() - began)))
