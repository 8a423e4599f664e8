"""What is read of a study in a file."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from nemo_lab.study.journal import cache, contents
from nemo_lab.study.journal.files import Connection, key_of
from nemo_lab.study.journal.lock import is_gone, note_of
from nemo_lab.study.journal.opening import Opened
from nemo_lab.study.journal.records import Stored
from nemo_lab.study.journal.schema import explained


class Reader:
    """A study in a file, as far as it is read.

    Args:
        opened: the study, which is closed with this.

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
        self._known: cache.Known | None = None
        self._seen: Any = None
        try:
            with explained(self.path, "read"):
                self.header = contents.header(self._connection, self._study)
                self._status, self._counts = self.status()
                self._annotated = contents.notes(self._connection, self._study)
        except BaseException:
            self.close()
            raise

    @property
    def _connection(self) -> Connection:
        return self._opened.connection

    def annotations(self, kind: str) -> dict[str, Any]:
        """What was noted of a kind, by key."""
        return dict(self.annotated.get(kind, {}))

    @property
    def annotated(self) -> contents.Annotations:
        """All that was noted, by kind and key; a writer has it in memory, too."""
        with self._lock, explained(self.path, "read"):
            return self._annotated if self.writable else contents.notes(self._connection, self._study)

    def read(self, stored: Stored | None = None) -> Stored:
        """Everything stored, given what was before; the same object if nothing has changed.

        Raises:
            StorageError: if a part of it is damaged.
        """
        with self._lock, explained(self.path, "read"):
            version = self._opened.version()
            if stored is not None and version == self._seen:
                return stored
            with contents.moment(self._connection):
                new = contents.read(self._connection, self._study, self.header, stored, state=self.writable)
            self._seen = version
            return new

    def read_state(self) -> Stored:
        """All that is stored now, with the engine's state, also where another process writes it."""
        with self._lock, explained(self.path, "read"), contents.moment(self._connection):
            return contents.read(self._connection, self._study, self.header, None, state=True)

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
            return is_gone(note_of(self._connection, self._study), key_of(self.place))

    def status(self) -> tuple[Mapping[str, Any], list[int]]:
        """The status, and how many evaluations, generations and interventions are stored."""
        with self._lock, explained(self.path, "read"):
            return contents.status(self._connection, self._study, self.header)

    def close(self) -> None:
        """Let go of the file; harmless twice."""
        with self._lock:
            self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
