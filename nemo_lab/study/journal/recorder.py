"""Between a run and its journal: the record of the run, and what is written when."""

from __future__ import annotations

import contextlib
import time

import numpy as np
from numpy.typing import NDArray

from nemo_lab.errors import StorageError, StudyStateError
from nemo_lab.search import Engine
from nemo_lab.search.species import Bits, OpaqueError
from nemo_lab.study.commands.base import Command
from nemo_lab.study.journal.journal import Journal
from nemo_lab.study.journal.records import Checkpoint, Stored
from nemo_lab.study.results.snapshot import Intervention, Snapshot

PATIENCE = 400  # the engine's state may take the run one part in 400 of its time


class Recorder:
    """Keeps the record of a run, in a journal where there is one.

    Args:
        journal: to write to, None to keep nothing on disk.
        stored: what it has, if it has anything.

    Attributes:
        record: every command that took effect.
    """

    def __init__(self, journal: Journal | None = None, stored: Stored | None = None) -> None:
        self._journal = journal
        self.record: tuple[Intervention, ...] = () if stored is None else stored.record
        self._marked = (-1, -1)
        self._next = 0.0
        self._opaque = self._closed = False

    def known(self) -> dict[bytes, NDArray[np.float64]]:
        """Objectives float[K] by the bytes of uint8[Q] that the file has of the same problem."""
        return {} if self._journal is None else self._journal.measured()

    def remember(self, bits: Bits, objectives: NDArray[np.float64]) -> None:
        """Store what was measured beside the run; a failure is the run's own to tell of."""
        if self._journal is not None:
            with contextlib.suppress(StorageError):
                self._journal.answer(bits, objectives)

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
        if self._journal is None:
            return
        mark = (engine.generation, len(self.record))
        now = time.perf_counter()
        due = not self._opaque and (end or (mark != self._marked and now >= self._next))
        checkpoint = None
        if due:
            try:
                state = engine.state.state_dict()
                checkpoint = Checkpoint(len(engine.evaluations), len(self.record), state)
            except OpaqueError:  # the run can be taken up all the same: all of it is gone through again
                self._opaque = True
        self._journal.write(
            evaluations=snapshot.evaluations,
            history=snapshot.history,
            record=self.record,
            checkpoint=checkpoint,
            status=snapshot.status(),
        )
        if checkpoint is not None:
            done = time.perf_counter()
            self._marked, self._next = mark, done + PATIENCE * (done - now)

    def check_open(self) -> None:
        """Refuse what could not be stored any more.

        Raises:
            StudyStateError: if there is a journal, and it is closed.
        """
        if self._journal is not None and self._closed:
            raise StudyStateError(
                "the study is closed, and its journal with it", f"{self._journal.reopening} goes on with it"
            )

    def close(self) -> None:
        """Let go of the file."""
        self._closed = True
        if self._journal is not None:
            self._journal.close()
