"""Between a run and its journal: the record of the run, and what is written when."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nemo_lab.errors import NemoError, StorageError, StudyStateError
from nemo_lab.search import Engine
from nemo_lab.search.species import Bits, OpaqueError
from nemo_lab.study.commands.base import Command
from nemo_lab.study.journal.fresh import check_new
from nemo_lab.study.journal.journal import Journal
from nemo_lab.study.journal.opening import Path_, real
from nemo_lab.study.journal.records import Checkpoint, Header, Stored
from nemo_lab.study.results.snapshot import Intervention, Snapshot

LOGGER = logging.getLogger(__name__)
PATIENCE = 400  # the engine's state may take the run one part in 400 of its time
CLOSED = "the study is closed", "its tables can still be read, and to_script() makes it again"
AT_REST = ("idle", "paused", "finished", "failed")


class Recorder:
    """Keeps the record of a run, in a journal where there is one.

    Args:
        journal: to write to, None to keep nothing on disk.
        stored: what it has, if it has anything.

    Attributes:
        journal: that is written to.
        record: every command that took effect.
    """

    def __init__(self, journal: Journal | None = None, stored: Stored | None = None) -> None:
        self.journal = journal
        self.record: tuple[Intervention, ...] = () if stored is None else stored.record
        self._marked = (-1, -1)
        self._next = 0.0
        self._opaque = self._closed = False
        self._resting = True

    def known(self, bits: bytes) -> NDArray[np.float64] | None:
        """Objectives float[K] of uint8[Q] that the file has by now of the same problem."""
        if self.journal is not None:
            with contextlib.suppress(StorageError):  # the next write tells of it
                return self.journal.known(bits)
        return None

    def remember(self, bits: Bits, objectives: NDArray[np.float64]) -> None:
        """Store what was measured beside the run; a failure is the run's own to tell of."""
        if self.journal is not None:
            with contextlib.suppress(StorageError):
                self.journal.answer(bits, objectives)
                if self._resting:
                    self.journal.settle()

    def note(self, evaluations: int, command: Command, detail: str, asks: int) -> None:
        """Add a command that took effect after so many evaluations, and asks since the last of them."""
        made = Intervention(evaluations, command.action, detail, command.arguments, asks)
        self.record = (*self.record, made)

    def keep(self, engine: Engine, snapshot: Snapshot, *, end: bool) -> None:
        """Store what is new; with the engine's state after a generation or a command, and always at the end.

        Args:
            engine: between two evaluations.
            snapshot: of it.
            end: whether the run rests now.

        Raises:
            StorageError: if it cannot be stored; the next call tries again.
        """
        self._resting = snapshot.state in AT_REST
        if self.journal is None:
            return
        mark = (engine.generation, len(self.record))
        now = time.perf_counter()
        due = end or (mark != self._marked and now >= self._next)
        checkpoint = self._checkpoint(engine) if due else None
        self.journal.write(
            evaluations=snapshot.evaluations,
            history=snapshot.history,
            record=self.record,
            checkpoint=checkpoint,
            status=snapshot.status(),
        )
        if due:
            done = time.perf_counter()
            self._marked, self._next = mark, done + PATIENCE * (done - now)
        if self._resting:
            self.journal.settle()

    def save_as(
        self,
        path: Path_,
        header: Header,
        fingerprints: Sequence[Mapping[str, str]],
        engine: Engine,
        snapshot: Snapshot,
    ) -> None:
        """Begin a journal with all there is, and go on in it.

        Args:
            path: of its file.
            header: what the study is.
            fingerprints: further forms of the header's; see ``Journal``.
            engine: between two evaluations.
            snapshot: the latest, which may be a command behind.

        Raises:
            StorageError, ArgumentError: see ``Journal.create``; the study stays in the journal it has.
            StudyStateError: if the study is closed.
        """
        if self._closed:
            raise StudyStateError(*CLOSED)
        old = self.journal
        notes = {} if old is None else old.annotated
        gone = old is not None and old.place == real(path) and not old.is_there()
        if old is not None and gone:
            if not old.place.exists():
                check_new(
                    old.place, alone=False
                )  # what is refused leaves the study where it is, should that come back
            old.close()  # its lock would be in the way of the new one, which takes its place
        state = self._checkpoint(engine) if len(engine.evaluations) or self.record else None
        stored = Stored(engine.evaluations, engine.history, self.record, state, snapshot.status())
        try:
            self.journal = Journal.create(path, header, stored, notes)
        except BaseException:
            if old is not None and gone:
                with contextlib.suppress(NemoError):  # unless the file has come back meanwhile
                    self.journal = Journal.open(path, old.header.name, write=True)
                    self.journal.fingerprints = old.fingerprints
            raise
        self.journal.fingerprints = fingerprints
        if old is not None:
            old.close()

    def _checkpoint(self, engine: Engine) -> Checkpoint | None:
        """The engine's state, None where it cannot be written down: all of the run is gone through again."""
        if not self._opaque:
            try:
                return Checkpoint(len(engine.evaluations), len(self.record), engine.state.state_dict())
            except OpaqueError:
                self._opaque = True
            except Exception:  # of a species: the record is enough, and has to be kept in any case
                LOGGER.warning("the state of the search cannot be stored", exc_info=True)
        return None

    def check_open(self) -> None:
        """Refuse what could not be stored any more.

        Raises:
            StudyStateError: if there is a journal, and it is closed.
        """
        if self.journal is not None and self._closed:
            raise StudyStateError(
                "the study is closed, and its journal with it", f"{self.journal.reopening} goes on with it"
            )

    def close(self) -> None:
        """Let go of the file."""
        self._closed = True
        if self.journal is not None:
            self.journal.close()
