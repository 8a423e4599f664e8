"""Processes of this machine that take tasks, each by itself: one that dies takes no other with it."""

from __future__ import annotations

import queue
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from nemo_lab.closing import close_at_exit
from nemo_lab.errors import ArgumentError

PROCESS_BYTES = 350 * 10**6  # of a process with torch and nemo_lab that shares nothing of it
LEAVING = 5.0  # seconds in which a task that was left may end by itself
LOOK = 0.5  # seconds between two looks at whether it was


def check_room(problem: Any, count: int) -> None:
    """Refuse more processes than memory is free for, where a problem says how much it takes.

    Raises:
        ArgumentError: which says for how many there is room.
    """
    needed = getattr(problem, "memory_bytes", None)
    if needed is None:
        return
    from nemo_lab.quantize.memory import free_bytes, megabytes

    free, each = free_bytes(), PROCESS_BYTES + needed
    if free is not None and count * each > free:
        raise ArgumentError(
            f"{count} processes take about {megabytes(count * each)} of memory; {megabytes(free)} are free",
            f"use workers={max(1, free // each)}, fewer images, or an executor= of your own",
        )


class Processes:
    """An executor of so many processes, which end with the process that began them, however that ends.

    They come with the first task, and never run the script that began them: it needs no
    ``if __name__ == "__main__"``.

    Args:
        count: of them.
    """

    def __init__(self, count: int) -> None:
        self._places = [Place() for _ in range(count)]
        self._lock = threading.Lock()
        self._max_workers = count
        self._closed = False
        close_at_exit(self)

    @cached_property
    def folder(self) -> Path:
        """For marks of evaluations that were left; see ``Sent``."""
        return Path(tempfile.mkdtemp(prefix="nemo_lab_"))

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Have a function called by the process that has least to do.

        Raises:
            RuntimeError: after ``close``.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError("the processes have been ended")
            return min(self._places, key=lambda place: place.waiting).submit(fn, args)

    def leave(self, task: Future[Any]) -> None:
        """A task is not needed any more: a process that does not end it soon is ended itself."""
        task.cancel()
        for place in self._places:
            if place.at is task:
                place.left = time.monotonic()

    def close(self) -> None:
        """End them all, whatever they are at."""
        with self._lock:
            self._closed = True
        for place in self._places:
            place.close()
        if "folder" in vars(self):
            shutil.rmtree(self.folder, ignore_errors=True)


class Place:
    """One process after the other, and the thread that gives them tasks.

    Attributes:
        waiting: tasks that were given and have not ended.
        at: the task that is being made.
        left: when it was left, if it was.
    """

    def __init__(self) -> None:
        self.waiting = 0
        self.at: Future[Any] | None = None
        self.left: float | None = None
        self._tasks: queue.SimpleQueue[tuple[Future[Any], Callable[..., Any], Any] | None]
        self._tasks = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._process: Any = None
        self._connection: Any = None

    def submit(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> Future[Any]:
        """Have a function called after those before; one caller at a time."""
        future: Future[Any] = Future()
        self.waiting += 1
        self._tasks.put((future, fn, args))
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="nemo_lab process", daemon=True)
            self._thread.start()
        return future

    def close(self) -> None:
        """End the process and the thread."""
        self._tasks.put(None)
        self._kill()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(LEAVING)

    def _serve(self) -> None:
        while (task := self._tasks.get()) is not None:
            future, fn, args = task
            if future.set_running_or_notify_cancel():
                self.at, self.left, found = future, None, None
                error: BaseException | None = None
                try:
                    found = self._made(fn, args)
                except (EOFError, OSError):
                    self._kill()
                    error = BrokenExecutor("a process has died")
                except BaseException as raised:
                    error = raised
                self.at = None
                self.waiting -= 1
                future.set_result(found) if error is None else future.set_exception(error)
            else:
                self.waiting -= 1
        self._kill()

    def _made(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        if self._process is None:
            from loky.backend import get_context  # whose processes do not import ``__main__``

            context = get_context("loky")
            self._connection, theirs = context.Pipe()
            self._process = context.Process(target=serve, args=(theirs,), daemon=True)
            self._process.start()
            theirs.close()
        self._connection.send((fn, args))
        while not self._connection.poll(LOOK):
            if self.left is not None and time.monotonic() - self.left > LEAVING:
                raise EOFError
        good, found = self._connection.recv()
        if not good:
            raise found
        return found

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with suppress(Exception):  # it may be dying by itself
                process.terminate()
                process.join(LEAVING)


def serve(connection: Any) -> None:
    """In the process: make tasks until nobody gives one any more. Ctrl-C is for who gives them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, OSError):
        while True:
            fn, args = connection.recv()
            try:
                answer = (True, fn(*args))
            except BaseException as error:
                answer = (False, RuntimeError(f"{type(error).__name__}: {error}"))
            connection.send(answer)
