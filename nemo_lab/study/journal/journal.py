"""One study in one SQLite file: written by one process, read by any.

In WAL mode with ``synchronous=NORMAL``, so that a killed process loses nothing that was committed; a power
cut can lose the last moments, never the file.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.errors import StorageError
from nemo_lab.search import Evaluations, GenerationRecord
from nemo_lab.study.journal import cache, contents
from nemo_lab.study.journal.files import Connection, key_of
from nemo_lab.study.journal.heads import status_row
from nemo_lab.study.journal.identity import Identity
from nemo_lab.study.journal.lock import Claim, is_gone, note_of_writer
from nemo_lab.study.journal.opening import Opened, Path_, begun, found
from nemo_lab.study.journal.records import Checkpoint, Header, Stored
from nemo_lab.study.journal.schema import explained
from nemo_lab.study.results.snapshot import Intervention

PAGES = (
    1000  # written since the log began, after which they are moved into the file, as SQLite does by itself
)


class Journal:
    """A study's place in a file; ``create`` and ``open`` make one. May be used from any thread.

    Attributes:
        path: of the file, as it was given.
        place: where that leads, whatever the working folder is later.
        header: what the study is.
        writable: whether this is its one writer.
        fingerprints: further forms of the header's fingerprint, by which ``known`` finds evaluations, too.
    """

    fingerprints: Sequence[Mapping[str, str]] = ()

    def __init__(self, opened: Opened) -> None:
        self.path, self.writable = opened.path, opened.claim is not None
        self._opened, self._study, self.place = opened, opened.study, opened.place
        self._lock = threading.RLock()
        self._identity: Identity | None = None
        self._known: cache.Known | None = None
        self._seen: Any = None
        try:
            self._begin(opened.claim)
        except BaseException:
            self.close()
            raise

    def _begin(self, claim: Claim | None) -> None:
        with explained(self.path, "read"):
            self.header = contents.header(self._connection, self._study)
            self._status, self._counts = self.status()
            self._annotated = contents.notes(self._connection, self._study)
        if claim is not None:
            with explained(self.path, "write to"):
                note = "UPDATE studies SET writer = ? WHERE study = ?"
                self._connection.execute(note, (note_of_writer(claim.key), self._study))
            self.settle()
            self._identity = Identity(self.place, claim.key, self._is_whole)

    @property
    def _connection(self) -> Connection:
        return self._opened.connection

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
    def open(cls, path: Path_, name: str | None = None, *, write: bool) -> Journal:
        """Open a study of a file; the newest by default.

        Raises:
            StorageError: if the file or the study cannot be read, or another process writes this study.
            UnknownNameError: if there is no such study.
        """
        return cls(found(path, name, write=write))

    # writing

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
                counts = contents.add(self._connection, self._study, new, self._counts)
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

    # reading

    def annotations(self, kind: str) -> dict[str, Any]:
        """What was noted of a kind, by key."""
        return dict(self.annotated.get(kind, {}))

    @property
    def annotated(self) -> contents.Annotations:
        """All that was noted, by kind and key; a writer has it in memory, too."""
        with self._lock, explained(self.path, "read"):
            return self._annotated if self.writable else contents.notes(self._connection, self._study)

    def read(self) -> Stored:
        """Everything stored.

        Raises:
            StorageError: if a part of it is damaged.
        """
        return self.refresh(None)

    def refresh(self, stored: Stored | None) -> Stored:
        """What is stored now, given what was; the same object if nothing has changed."""
        with self._lock, explained(self.path, "read"):
            version = self._opened.version()
            if stored is not None and version == self._seen:
                return stored
            with contents.moment(self._connection):
                new = contents.read(self._connection, self._study, self.header, stored, state=self.writable)
            self._seen = version
            return new

    def known(self, bits: bytes) -> NDArray[np.float64] | None:
        """Objectives float64[K] of uint8[Q], if any study of the file measured the same by now."""
        with self._lock, explained(self.path, "read"):
            if self._known is None:
                self._known = cache.Known(self._connection, self.header, self.fingerprints)
            return self._known.get(bits)

    @property
    def reopening(self) -> str:
        """The call that opens the study again, to go on with it."""
        given = "" if self.header.recipe else ", problem=..."
        return f"load_study({str(self.path)!r}, {self.header.name!r}{given})"

    def writer_is_gone(self) -> bool:
        """Whether nobody writes the study any more, as far as is known."""
        with self._lock, explained(self.path, "read"):
            query = "SELECT writer FROM studies WHERE study = ?"
            (note,) = self._connection.execute(query, (self._study,)).fetchone()
            return is_gone(note, key_of(self.place))

    def status(self) -> tuple[Mapping[str, Any], list[int]]:
        """The status, and how many evaluations, generations and interventions are stored."""
        with self._lock, explained(self.path, "read"):
            return contents.status(self._connection, self._study, self.header)

    def close(self) -> None:
        """Let go of the file; harmless twice."""
        with self._lock:
            self._opened.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _is_whole(self) -> bool:
        """Whether a fresh look at the file finds what was written last."""
        with (
            contextlib.suppress(StorageError),
            Journal.open(self.place, self.header.name, write=False) as one,
        ):
            return status_row(*one.status()) == status_row(self._status, self._counts)
        return False
