"""What a process of the soak tells the one that watches it, so that it outlives a kill."""

from __future__ import annotations

import json
import os
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import nemo_lab as nl

LONGEST = 3000  # characters; a line of less than 4096 bytes is written to a pipe as a whole


class Told:
    """Writes lines of JSON into a pipe, from any thread.

    Args:
        descriptor: of the end of the pipe that is written to.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __call__(self, what: str, *values: Any) -> None:
        """Tell something, with numbers and texts."""
        short = [one[-LONGEST:] if isinstance(one, str) else one for one in values]
        os.write(self._descriptor, (json.dumps([what, *short]) + "\n").encode())


class Trouble:
    """Whether the journal cannot be written at the moment, so that nothing says what is stored."""

    def __init__(self) -> None:
        self.on = False
        self.times = 0

    @contextmanager
    def expected(self) -> Iterator[None]:
        """The journal may refuse to be written in the body."""
        self.on, self.times = True, self.times + 1
        yield
        self.on, self.times = False, self.times + 1


class Stored:
    """A listener that tells of everything that is shown, which has to be stored by then.

    Args:
        study: that is listened to.
        told: takes evaluations, a check sum of them all, and interventions.
        trouble: while it is on, what is shown may be in memory only.
    """

    def __init__(self, study: nl.Study, told: Told, trouble: Trouble) -> None:
        self._study, self._told, self._trouble = study, told, trouble
        self._count = self._sum = self._steered = 0
        self._failed = False
        self._lock = threading.Lock()

    def __call__(self) -> None:
        """Tell what is shown now."""
        with self._lock:
            now = self._study.snapshot
            stored = not self._trouble.on
            failed = now.state == "failed"
            if failed and not self._failed and "StorageError" not in (now.error or ""):
                self._told("did", "evaluation failed")
            self._failed = failed
            log, count, steered = now.evaluations, len(now.evaluations), len(now.record)
            if count > self._count or steered > self._steered:
                self._sum = check_sum(log, self._count, count, self._sum)
                self._count, self._steered = count, steered
                if stored:
                    self._told("stored", count, self._sum, steered)


def check_sum(log: Any, first: int, last: int, before: int = 0) -> int:
    """Of the rows of evaluations from one number to another, given that of those before."""
    for number in range(first, last):
        before = zlib.crc32(log.objectives[number].tobytes(), zlib.crc32(log.bits[number].tobytes(), before))
    return before
