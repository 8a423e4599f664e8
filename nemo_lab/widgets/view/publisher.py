"""The one thread that writes widgets: the latest state wins, a few times a second."""

from __future__ import annotations

import contextvars
import functools
import threading
import time
from collections import deque
from collections.abc import Callable

from nemo_lab.closing import close_at_exit
from nemo_lab.interruption import Interrupted, interruptible
from nemo_lab.study.run.notices import collect, notice

RATE = 4.3  # updates a second while there is something new, so that four are left when some come late
BEHIND = 1.0  # seconds of them that are made up for
BREATH = 0.1  # seconds at the least from the end of one to the next, for the search and the browser


def _nothing() -> None:
    pass


def _ignore(_: str | Exception) -> None:
    pass


def _raise(error: Exception) -> None:
    raise error


def _join(thread: threading.Thread | None, seconds: float | None = None) -> None:
    if thread is not None and thread is not threading.current_thread():
        thread.join(seconds)


Action = Callable[[], object]
Notify = Callable[[str | Exception], None]


class Publisher:
    """Carries out what people asked for, then draws; both away from Jupyter's threads.

    Args:
        draw: writes the widgets; called by one thread at a time.

    Callbacks of widgets call ``do`` and return, whatever thread they came on. Every action comes with a
    ``notify`` that takes what people should know after it: a notice, an error, or an empty text. It is called
    by the thread that draws, which lives only while there is something to draw.
    """

    def __init__(self, draw: Callable[[], None]) -> None:
        self._draw = draw
        self._actions: deque[tuple[Action, Notify]] = deque()
        self._lock = threading.Lock()
        self._woken = self._closed = False
        self._due = 0.0  # by the monotonic clock, when the next drawing is
        self._thread: threading.Thread | None = None
        self._background: list[threading.Thread] = []
        self._notify: Notify = _ignore  # of the latest action, for what goes wrong in drawing
        # ipykernel finds the notebook to publish to in the context of the cell that made the widget
        self._context = contextvars.copy_context()
        close_at_exit(self)

    def wake(self) -> None:
        """Something changed: draw soon."""
        with self._lock:
            self._woken = True
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(
                    target=self._context.copy().run, args=(self._run,), name="nemo_lab publisher", daemon=True
                )
                self._thread.start()

    def do(self, action: Action, notify: Notify) -> None:
        """Carry out an action soon, then draw."""
        self._actions.append((action, notify))
        self.wake()

    def now(self, action: Action, notify: Notify) -> None:
        """Carry out at once an action that only sets a flag; report its error, then draw."""
        self.do(_nothing, notify)  # takes the notice about an earlier action away, before there is a new one
        try:
            action()
        except Exception as error:
            self.do(functools.partial(_raise, error), notify)
        else:
            self.wake()

    def in_background(self, action: Action, notify: Notify) -> None:
        """Carry out a slow action on a thread of its own, then draw; left half-way once this is closed."""

        def run() -> None:
            try:
                with interruptible(lambda: self._closed), collect() as notices:
                    action()
                if notices:
                    self.do(lambda: notice("; ".join(notices)), notify)
                else:  # an earlier notice stays
                    self.wake()
            except Interrupted:
                pass
            except Exception as error:
                self.do(functools.partial(_raise, error), notify)

        made = threading.Thread(target=run, name="nemo_lab background", daemon=True)
        self._background = [*(one for one in self._background if one.is_alive()), made]
        made.start()

    @property
    def closed(self) -> bool:
        """Whether it draws no more."""
        return self._closed

    def stop(self) -> None:
        """Draw no more; background actions are left half-way, and not waited for."""
        with self._lock:
            self._closed = True
            drawing = self._thread
        _join(drawing, seconds=5)

    def close(self) -> None:
        """Draw no more, and wait until every thread has ended."""
        self.stop()
        for thread in (self._thread, *self._background):
            _join(thread)

    def _run(self) -> None:
        while self._goes_on():
            while self._actions and not self._closed:
                action, self._notify = self._actions.popleft()
                try:
                    with collect() as notices:
                        action()
                    self._notify("; ".join(notices))
                except Exception as error:
                    self._notify(error)
            try:
                self._draw()
            except Exception as error:
                self._notify(error)
            if not self._closed:
                # from beat to beat: what is late because the search had its turn is made up for
                now = time.monotonic()
                self._due = max(self._due + 1.0 / RATE, now - BEHIND)
                time.sleep(max(self._due - now, BREATH))

    def _goes_on(self) -> bool:
        """Whether to draw once more; else the next ``wake`` makes another thread."""
        with self._lock:
            if self._woken and not self._closed:
                self._woken = False
                return True
            self._thread = None
            return False
