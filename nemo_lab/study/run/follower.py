"""A study that another process runs, as its journal shows it."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from nemo_lab.errors import StorageError, StudyStateError
from nemo_lab.search.archive import ParetoFront
from nemo_lab.search.species import Species
from nemo_lab.search.state import controls_of, rules_of
from nemo_lab.study.journal import Journal, Stored
from nemo_lab.study.journal.recorder import seen
from nemo_lab.study.results.snapshot import Intervention, Snapshot, State
from nemo_lab.study.run.events import Listeners

LOOK = 0.25  # seconds between two looks at the file
UNDER_WAY = ("running", "paused", "stopping")


@dataclasses.dataclass(frozen=True)
class Named:
    """A species of which only the name is known."""

    name: str
    summary: str = ""


class Watcher(Listeners):
    """In the place of a ``Worker``: shows what the journal has, and refuses everything else.

    While somebody listens, a thread looks at the file; else it is looked at when the snapshot is asked for.
    """

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._front = ParetoFront()
        self._stored = journal.read()
        self._snapshot = self._picture(self._stored, 0)
        self._looked = time.monotonic()

    @property
    def snapshot(self) -> Snapshot:
        """The latest that is stored."""
        self._look()
        return self._snapshot

    @property
    def steers(self) -> tuple[Intervention, ...]:
        """All that are stored."""
        return self._stored.steers

    @property
    def species(self) -> tuple[Species | Named, ...]:
        """By name only."""
        names = self._stored.status.get("species", self._journal.header.species)
        return tuple(Named(str(name)) for name in names)

    def _look(self) -> None:
        with self._lock:
            if time.monotonic() - self._looked < LOOK or self._ended.is_set():
                return
            self._looked = time.monotonic()
            stored = self._journal.refresh(self._stored)
            ended = self._snapshot.state in UNDER_WAY and self._journal.writer_is_gone()
            if stored is self._stored and not ended:
                return
            snapshot = self._picture(stored, self._snapshot.version + 1)
            self._snapshot = dataclasses.replace(snapshot, state="idle") if ended else snapshot
            self._stored = stored
        self.tell_listeners()

    def _picture(self, stored: Stored, version: int) -> Snapshot:
        status = stored.status
        log = stored.evaluations
        try:
            rules = rules_of(status.get("rules", {}))
            self._front.rebuild(log, rules)
            controls = controls_of(status.get("controls", {"removed": [], "frozen": [], "shares": []}))
            state: Any = status.get("state", "idle")
            return Snapshot(
                version=version,
                state=state if state in (*UNDER_WAY, "finished", "failed") else "idle",
                evaluations=log,
                front=self._front.ids,
                rules=rules,
                generation=int(status.get("generation", 0)),
                allocation=tuple(map(int, status.get("allocation", [0] * len(self._journal.header.species)))),
                history=stored.history,
                interventions=seen(stored.steers),
                hypervolume=float(status.get("hypervolume", 0.0)),
                waiting=int(status.get("waiting", 0)),
                target=int(status.get("target", 0)),
                seconds=float(status.get("seconds", 0.0)),
                seconds_per_evaluation=float(status.get("rate", 0.0)),
                controls=controls,
                exhausted=bool(status.get("exhausted", False)),
                error=None if status.get("error") is None else str(status["error"]),
            )
        except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
            raise StorageError(f"the journal's status cannot be read: {error}") from error

    def listen(self, listener: Callable[[], None]) -> None:
        """As of ``Listeners``; the first one starts the thread."""
        super().listen(listener)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="nemo_lab watcher", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(LOOK) and self._listeners:
            try:
                self._look()
            except StorageError:
                continue
        self._thread = None

    # what only a writer does

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise StudyStateError(
            f"study {self._journal.header.name!r} is only watched here",
            "steer it where it runs; when that has ended, load_study(path) goes on with it here",
        )

    start = pause = resume = post = _refuse

    cause: BaseException | None = None
    closed = False

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
        while self.snapshot.state not in resting:
            if time.monotonic() >= end:
                return False
            time.sleep(min(LOOK, max(0.0, end - time.monotonic())))
        return True

    def raise_failure(self) -> None:
        """Nothing: the failure is raised where it happened; ``snapshot.error`` has it."""
