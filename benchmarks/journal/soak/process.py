"""A process of the soak, as the one that started it sees it."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["benchmarks.journal.soak.loaded"])  # so that a process starts at once


class Process:
    """Starts a function in a process of its own, and keeps what it tells.

    Args:
        work: is called with the arguments and the end of a pipe to tell into.
        arguments: of it.

    Attributes:
        heard: all that was told, in its order: what, and values.
    """

    def __init__(self, work: Callable[..., None], *arguments: Any) -> None:
        self._ear, mouth = CONTEXT.Pipe(duplex=False)
        self._process = CONTEXT.Process(target=work, args=(*arguments, mouth), daemon=True)
        self._process.start()
        mouth.close()
        self._rest, self._open = b"", True
        self.heard: list[tuple[str, list[Any]]] = []
        self._words: set[str] = set()

    def listen(self, seconds: float) -> bool:
        """Take in what is told within some time; returns whether the process may tell more."""
        end = time.monotonic() + seconds
        while self._open and self._ear.poll(max(0.0, end - time.monotonic())):
            some = os.read(self._ear.fileno(), 1 << 16)
            self._open = bool(some)
            *lines, self._rest = (self._rest + some).split(b"\n")
            for line in lines:
                what, *values = json.loads(line)
                self.heard.append((what, values))
                self._words.add(what)
        return self._open

    def said(self, what: str) -> bool:
        """Whether something was told by now."""
        return what in self._words

    def kill(self) -> None:
        """End it as ``kill -9`` does."""
        self._process.kill()

    def join(self, seconds: float) -> bool:
        """Listen until it has ended; returns whether it did, else it is asked where it hangs, and killed."""
        end = time.monotonic() + seconds
        while self.listen(0.1) and time.monotonic() < end:
            pass
        hangs = self._open
        if hangs:
            os.kill(self._process.pid, signal.SIGUSR1)
            time.sleep(1.0)
            self.kill()
            self.listen(1.0)
        self._process.join()
        return not hangs

    @property
    def crashed(self) -> int:
        """The signal that ended it other than our own, else 0."""
        code = self._process.exitcode or 0
        return -code if code < 0 and code != -signal.SIGKILL else 0
