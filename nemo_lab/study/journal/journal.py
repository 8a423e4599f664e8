"""One study in one SQLite file: written by one process, read by any.

In WAL mode with ``synchronous=NORMAL``, so that a killed process loses nothing that was committed; a power
cut can lose the last moments, never the file.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.errors import StorageError
from nemo_lab.search import Evaluations, GenerationRecord
from nemo_lab.study.journal import cache, contents
from nemo_lab.study.journal.heads import status_row
from nemo_lab.study.journal.identity import Identity
from nemo_lab.study.journal.lock import NOBODY
from nemo_lab.study.journal.opening import Opened, Path_, begun, found
from nemo_lab.study.journal.reader import Reader
from nemo_lab.study.journal.records import Checkpoint, Header, Stored
from nemo_lab.study.journal.schema import explained
from nemo_lab.study.results.snapshot import Intervention

PAGES = 1000  # in the log, after which they are moved into the file, as SQLite does by itself


class Journal(Reader):
    """A study's place in a file; ``create`` and ``open`` make one. May be used from any thread."""

    def __init__(self, opened: Opened, *, untouched: bool = False) -> None:
        self._identity: Identity | None = None
        super().__init__(opened)
        if not untouched:
            try:
                self.take_up()
            except BaseException:
                self.close()
                raise

    def take_up(self) -> None:
        """Begin to write, or raise a StorageError; harmless twice. See ``Opened``."""
        claim = self._opened.claim
        if claim is None or self._identity is not None:
            return
        with self._lock:
            self._opened.take_up(claim)
            self.settle()
            self._identity = Identity(self.place, claim.key, self._is_whole)

    @classmethod
    def create(
        cls,
        path: Path_,
        header: Header,
        stored: Stored | None = None,
        annotations: contents.Annotations | None = None,
    ) -> Journal:
        """Begin a study in a file, with what it has already; nothing is left behind if that fails.

        Raises:
            StorageError: if the file cannot be written.
            ArgumentError: if the name is taken.
        """
        return cls(begun(path, header, stored, annotations or {}))

    @classmethod
    def open(cls, path: Path_, name: str | None = None, *, write: bool, untouched: bool = False) -> Journal:
        """Open a study of a file; the newest by default.

        Args:
            path: of the file.
            name: of the study.
            write: whether to be its one writer.
            untouched: whether the file stays as it is until ``take_up``.

        Raises:
            StorageError: if the file or the study cannot be read, or another process writes this study.
            UnknownNameError: if there is no such study.
        """
        return cls(found(path, name, write=write), untouched=untouched)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Write in the body, if it goes to where it will be looked for; and see that it did."""
        with self._lock, explained(self.path, "write"):
            self.check()
            before = self._connection.total_changes
            yield
            if self._identity is not None:
                self._identity.check(wrote=self._connection.total_changes > before)
                if self._identity.pages > PAGES:
                    self._opened.checkpoint("PASSIVE")

    def check(self) -> None:
        """Refuse to write where it would be lost, by a StorageError; see ``Identity.check``."""
        if self._identity is not None:
            self._identity.check()

    def is_there(self) -> bool:
        """Whether what is written goes to where it will be looked for."""
        with contextlib.suppress(StorageError):
            self.check()
            return True
        return False

    def write(
        self,
        *,
        evaluations: Evaluations,
        history: Sequence[GenerationRecord],
        record: Sequence[Intervention],
        checkpoint: Checkpoint | None,
        status: Mapping[str, Any],
    ) -> None:
        """Store what is new of all there is, at once; a checkpoint replaces the one before.

        Raises:
            StorageError: if it cannot be stored. Nothing of it is then; the next call stores it all.
        """
        new = Stored(evaluations, tuple(history), tuple(record), checkpoint, status)
        with self._writing():
            with contents.transaction(self._connection):
                counts = contents.add(self._connection, self._study, new)
            self._counts, self._status = counts, status

    def settle(self) -> None:
        """Have everything in the file itself, as far as nobody reads it: a copy of it alone is whole then.

        Raises:
            StorageError: as ``check`` does.
        """
        with self._lock:
            self.check()
            self._opened.checkpoint("TRUNCATE")
            self.check()

    def answer(self, bits: NDArray[np.uint8], objectives: NDArray[np.float64]) -> None:
        """Store objectives float64[K] of uint8[Q] that were measured beside a run.

        Raises:
            StorageError: if they cannot be stored.
        """
        with self._writing():
            cache.add(self._connection, self.header, bits.tobytes(), objectives.astype("<f8").tobytes())

    def annotate(self, kind: str, key: str, value: Any) -> None:
        """Note a value by kind and key, in place of the one before; None takes it away.

        Raises:
            StorageError: if it cannot be stored.
            TypeError: if it is made of what ``packing.pack`` does not take.
        """
        with self._writing():
            contents.annotate(self._connection, self._study, kind, key, value)
            self._annotated.setdefault(kind, {})[key] = value
            if value is None:
                del self._annotated[kind][key]

    def close(self) -> None:
        """Let go of the file, and say so in it; harmless twice."""
        with self._lock:
            if self._identity is not None and self.is_there():
                with contextlib.suppress(sqlite3.Error):
                    query = "UPDATE studies SET writer = ? WHERE study = ?"
                    self._connection.execute(query, (NOBODY, self._study))
            self._identity = None
            super().close()

    def _is_whole(self) -> bool:
        """Whether a fresh look at the file finds what was written last."""
        with (
            contextlib.suppress(StorageError),
            Journal.open(self.place, self.header.name, write=False) as one,
        ):
            said = status_row(self._status, self._counts, self._opened.mark)
            return status_row(*one.status(), one._opened.mark) == said
        return False
