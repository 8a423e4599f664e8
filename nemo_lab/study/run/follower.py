"""A study that another process runs, as its journal shows it."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from nemo_lab.errors import StorageError, StudyStateError
from nemo_lab.search import Ledger
from nemo_lab.search.archive import ParetoFront
from nemo_lab.study.commands.registry import followed
from nemo_lab.study.journal import Journal, Stored
from nemo_lab.study.results.snapshot import Snapshot, State, read_status
from nemo_lab.study.run.events import Listeners

LOOK = 0.25  # seconds between two looks at the file
UNDER_WAY = ("running", "paused", "stopping")


class Follower(Listeners):
    """In the place of a ``Worker``: shows what the journal has, and refuses everything else; see ``Runner``.

    While somebody listens, a thread looks at the file; else it is looked at when the snapshot is asked for.
    """

    following = True
    closed = False

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal
        self._problem: Any = journal.header.problem
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._front = ParetoFront()
        self._ledger, self._followed = Ledger(journal.header.species), 0
        self._stored = journal.read()
        self._snapshot = self._picture(self._stored, 0)
        self._looked = time.monotonic()

    @property
    def snapshot(self) -> Snapshot:
        """The latest that is stored."""
        self._look()
        return self._snapshot

    @property
    def ledger(self) -> Ledger:
        """What is in force, as far as it is stored."""
        return self.snapshot.ledger

    def _look(self) -> None:
        with self._lock:
            if time.monotonic() - self._looked < LOOK or self._ended.is_set():
                return
            self._looked = time.monotonic()
            stored = self._journal.read(self._stored)
            ended = self._snapshot.state in UNDER_WAY and self._journal.writer_is_gone()
            if stored is self._stored and not ended:
                return
            snapshot = self._picture(stored, self._snapshot.version + 1)
            self._snapshot = dataclasses.replace(snapshot, state="idle") if ended else snapshot
            self._stored = stored
        self.tell_listeners()

    def _picture(self, stored: Stored, version: int) -> Snapshot:
        new = stored.record[self._followed :]
        self._ledger, self._followed = followed(self._ledger, new, self._problem), len(stored.record)
        try:
            self._front.rebuild(stored.evaluations, self._ledger.constraints)
            return Snapshot(
                version=version,
                evaluations=stored.evaluations,
                front=self._front.ids,
                ledger=self._ledger,
                history=stored.history,
                record=stored.record,
                **read_status(stored.status, self._journal.header.species),
            )
        except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
            raise StorageError(
                f"the journal's status cannot be read: {error}",
                "nemo_lab.study.salvage(path, new_path) saves what can still be read",
            ) from error

    def listen(self, listener: Callable[[], None]) -> None:
        """As of ``Listeners``; the first one starts the thread."""
        super().listen(listener)
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="nemo_lab follower", daemon=True)
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        while self._wanted():
            with contextlib.suppress(StorageError):
                self._look()

    def _wanted(self) -> bool:
        """Whether somebody listens after a while; who comes later starts another thread."""
        ended = self._ended.wait(LOOK)
        with self._lock:
            if ended or not self._listeners:
                self._thread = None
            return self._thread is not None

    # what only a writer does

    def check_writable(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse it: somebody else runs and steers the study."""
        raise StudyStateError(
            f"study {self._journal.header.name!r} is only followed here",
            f"steer it where it runs; when that has ended, {self._journal.reopening} goes on with it here",
        )

    start = pause = resume = post = check_writable

    def stop(self) -> None:
        """Look no longer; the run itself goes on."""
        self._ended.set()

    def close(self) -> None:
        """End the thread, and let go of the file."""
        self.stop()
        self._journal.close()

    abandon = close

    def wait(self, timeout: float | None = None, *, through_pauses: bool = False) -> bool:
        """Wait until the run has ended where it runs, or is paused."""
        end = np.inf if timeout is None else time.monotonic() + timeout
        resting: tuple[State, ...] = ("idle", "finished", "failed") + (() if through_pauses else ("paused",))
        while self.snapshot.state not in resting and not self._ended.is_set():
            if time.monotonic() >= end:
                return False
            time.sleep(min(LOOK, max(0.0, end - time.monotonic())))
        return True

    def raise_failure(self) -> None:
        """Nothing: the failure is raised where it happened; ``snapshot.error`` has it."""
