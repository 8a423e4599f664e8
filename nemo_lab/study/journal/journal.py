"""One study in one SQLite file: written by one process, read by any.

In WAL mode with ``synchronous=NORMAL``, so that a killed process loses nothing that was committed; a power
cut can lose the last moments, never the file.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from nemo_lab.errors import ArgumentError, StorageError, UnknownNameError
from nemo_lab.search import Evaluations, GenerationRecord
from nemo_lab.study.journal import cache, contents, rows
from nemo_lab.study.journal.lock import become_writer, is_gone
from nemo_lab.study.journal.packing import pack, unpack
from nemo_lab.study.journal.records import Checkpoint, Header, Stored, StoredProblem
from nemo_lab.study.journal.schema import connect, explained
from nemo_lab.study.results.snapshot import Intervention

Path_ = str | os.PathLike[str]


class Journal:
    """A study's place in a file; ``create`` and ``open`` make one. May be used from any thread.

    Attributes:
        path: of the file.
        header: what the study is.
        writable: whether this is its one writer.
        fingerprints: further forms of the header's fingerprint, by which ``measured`` finds evaluations, too.
    """

    fingerprints: Sequence[Mapping[str, str]] = ()

    def __init__(self, path: Path, connection: sqlite3.Connection, study: int, writable: bool) -> None:
        self.path, self.writable = path, writable
        self._connection, self._study = connection, study
        self._lock = threading.RLock()
        self._held: FileLock | None = None
        self._counts = [0, 0, 0]
        self._seen = -1
        try:
            if writable:
                self._held = become_writer(path, connection, study)
            with explained(path, "read"):
                self.header = self._read_header()
                self._counts = self.status()[1]
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(cls, path: Path_, header: Header) -> Journal:
        """Begin a study in a file, which is made if there is none.

        Raises:
            StorageError: if the file cannot be written.
            ArgumentError: if the name is taken.
        """
        place = Path(path)
        connection = connect(place, write=True)
        try:
            with explained(place, "write"):
                connection.execute("BEGIN IMMEDIATE")
                taken = {name for (name,) in connection.execute("SELECT name FROM studies")}
                name = header.name or next(
                    f"study {n}" for n in range(1, len(taken) + 2) if f"study {n}" not in taken
                )
                if name in taken:
                    connection.execute("ROLLBACK")
                    raise ArgumentError(
                        f"{str(path)!r} has a study {name!r} already",
                        "load_study(path, name) goes on with it; another name begins another study",
                    )
                fields = {**vars(header), "name": name, "problem": header.problem.saved()}
                text, blob = pack(fields)
                study = connection.execute(
                    "INSERT INTO studies (name, fingerprint, header, arrays, status, writer) "
                    "VALUES (?, ?, ?, ?, '{}', '{}')",
                    (name, cache.fingerprint(header.fingerprint), text, blob),
                ).lastrowid
                connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        return cls(place, connection, int(study or 0), True)

    @classmethod
    def open(cls, path: Path_, name: str | None = None, *, write: bool) -> Journal:
        """Open a study of a file; the newest by default.

        Raises:
            StorageError: if the file cannot be used, or another process writes this study.
            UnknownNameError: if there is no such study.
        """
        place = Path(path)
        if write and not place.exists():
            raise StorageError(
                f"there is no file {str(place)!r}", "create_study(..., storage=path) makes one"
            )
        connection = connect(place, write=write)
        try:
            with explained(place, "read"):
                known = dict(connection.execute("SELECT name, study FROM studies ORDER BY study").fetchall())
            if name is None and not known:
                raise StorageError(f"there is no study in {str(place)!r}", "create_study(..., storage=path)")
            if name is not None and name not in known:
                raise UnknownNameError("study", name, known)
        except BaseException:
            connection.close()
            raise
        return cls(place, connection, known[list(known)[-1] if name is None else name], write)

    # writing

    def write(
        self,
        *,
        evaluations: Evaluations,
        history: Sequence[GenerationRecord],
        record: Sequence[Intervention],
        checkpoint: Checkpoint | None,
        status: Mapping[str, Any],
    ) -> None:
        """Store what is new of all there is, in one transaction; a checkpoint replaces the one before.

        Raises:
            StorageError: if it cannot be stored. Nothing of it is then, and the next call stores it all.
        """
        with self._lock, explained(self.path, "write"):
            new = Stored(evaluations, tuple(history), tuple(record), checkpoint, status)
            self._counts = contents.write(self._connection, self._study, new, self._counts)

    def answer(self, bits: NDArray[np.uint8], objectives: NDArray[np.float64]) -> None:
        """Store objectives float64[K] of uint8[Q] that were measured beside a run.

        Raises:
            StorageError: if they cannot be stored.
        """
        with self._lock, explained(self.path, "write"):
            cache.add(self._connection, self.header, bits.tobytes(), objectives.astype("<f8").tobytes())

    # reading

    def read(self) -> Stored:
        """Everything stored.

        Raises:
            StorageError: if a part of it is damaged.
        """
        return self.refresh(None)

    def refresh(self, stored: Stored | None) -> Stored:
        """What is stored now, given what was; the same object if nothing has changed."""
        with self._lock, explained(self.path, "read"):
            version = self._connection.execute("PRAGMA data_version").fetchone()[0]
            if stored is not None and version == self._seen:
                return stored
            self._connection.execute("BEGIN")
            try:
                found = contents.read(self._connection, self._study, self.header, stored, state=self.writable)
            finally:
                self._connection.execute("COMMIT")
            self._seen = version
            return found

    def measured(self) -> dict[bytes, NDArray[np.float64]]:
        """Objectives float64[K] by the bytes of uint8[Q], of all that any study of the file measured of
        the same workload and data by the same settings."""  # noqa: D205, D209
        with self._lock, explained(self.path, "read"):
            return cache.measured(self._connection, self.header, self.fingerprints)

    def _read_header(self) -> Header:
        query = "SELECT header, arrays FROM studies WHERE study = ?"
        text, blob = self._connection.execute(query, (self._study,)).fetchone()
        fields = unpack(text, blob)
        try:
            fields["problem"] = StoredProblem.read(fields["problem"], fields.get("recipe"))
            fields["species"] = tuple(map(str, fields["species"]))
            for name in ("options", "fingerprint", "versions"):
                fields[name] = {str(key): value for key, value in fields[name].items()}
            return Header(**fields)
        except (TypeError, KeyError, AttributeError) as error:
            raise StorageError(f"the head of the study in {str(self.path)!r} cannot be read") from error

    @property
    def reopening(self) -> str:
        """The call that opens the study again, to go on with it."""
        given = "" if self.header.recipe else ", problem=..."
        return f"load_study({str(self.path)!r}, {self.header.name!r}{given})"

    def writer_is_gone(self) -> bool:
        """Whether the process that wrote last is known to have ended."""
        with self._lock, explained(self.path, "read"):
            query = "SELECT writer FROM studies WHERE study = ?"
            return is_gone(self._connection.execute(query, (self._study,)).fetchone()[0])

    def status(self) -> tuple[Mapping[str, Any], list[int]]:
        """The status, and how many evaluations, generations and interventions are stored."""
        query = "SELECT status FROM studies WHERE study = ?"
        return rows.status_of(self._connection.execute(query, (self._study,)).fetchone()[0])

    def close(self) -> None:
        """Let go of the file; harmless twice."""
        with self._lock:
            self._connection.close()
            if self._held is not None:
                self._held.release()
                self._held = None

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
