"""The doors of a file: a study that is begun in it, or found there."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nemo_lab.errors import ArgumentError, StorageError, UnknownNameError
from nemo_lab.study.journal import contents
from nemo_lab.study.journal.files import Connection
from nemo_lab.study.journal.fresh import discard
from nemo_lab.study.journal.lock import Claim
from nemo_lab.study.journal.records import Header, Stored
from nemo_lab.study.journal.schema import connect, explained

PATIENCE = 0.2  # seconds that readers get to let go of what was written last
Path_ = str | os.PathLike[str]


@dataclass(eq=False)
class Opened:
    """A study of a file that is open.

    Attributes:
        path: of the file, as it was given.
        place: where that leads, whatever the working folder is later.
        connection: to the file.
        study: its number there.
        claim: the right to write it, None to read it only.
    """

    path: Path
    place: Path
    connection: Connection
    study: int
    claim: Claim | None
    _times: tuple[int, int] | None = None

    def version(self) -> Any:
        """Another value than before, if another connection has written meanwhile."""
        if not self.connection.immutable:
            return self.connection.execute("PRAGMA data_version").fetchone()[0]
        now = self.place.stat()
        times = now.st_mtime_ns, now.st_size
        # SQLite takes it for a file that nobody writes, and does not look
        if self._times not in (None, times):
            self.connection.close()
            self.connection = connect(self.place, write=False)
        self._times = times
        return times

    def checkpoint(self, mode: str) -> None:
        """Move what was written last into the file itself, as far as readers let go of it soon.

        Args:
            mode: of SQLite's ``wal_checkpoint``.
        """
        with contextlib.suppress(sqlite3.Error):  # it is stored, if not in the one file
            self.connection.execute(f"PRAGMA busy_timeout={int(1000 * PATIENCE)}")
            try:
                self.connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
            finally:
                self.connection.execute("PRAGMA busy_timeout=30000")

    def close(self) -> None:
        """Let go of the file; harmless twice."""
        self.connection.close()
        claim, self.claim = self.claim, None
        if claim is not None:
            claim.release()


def real(path: Path_) -> Path:
    """Where a path leads, so that a file has one name."""
    return Path(os.path.realpath(path))


def begun(path: Path_, header: Header, stored: Stored | None, annotations: contents.Annotations) -> Opened:
    """Begin a study; see ``Journal.create``."""
    place = real(path)
    is_new = not place.exists()
    connection, claim = None, None
    try:
        connection = connect(place, write=True)
        with explained(place, "write to"), contents.transaction(connection):
            named = replace(header, name=_name(connection, header.name, path))
            study = contents.begin(connection, named)
            claim = Claim(place, connection, study)
            if stored is not None:
                contents.add(connection, study, stored, (0, 0, 0))
            for kind, notes in annotations.items():
                for key, value in notes.items():
                    contents.annotate(connection, study, kind, key, value)
    except BaseException:
        if claim is not None:
            claim.release(forget=True)
        if connection is not None:
            is_new = is_new and not contents.names(connection)
            connection.close()
        if is_new:
            discard(place)
        raise
    return Opened(Path(path), place, connection, study, claim)


def found(path: Path_, name: str | None, *, write: bool) -> Opened:
    """Find a study; see ``Journal.open``."""
    place = real(path)
    if write and not place.exists():
        raise StorageError(f"there is no file {str(path)!r}", "create_study(..., storage=path) makes one")
    connection, claim = connect(place, write=write), None
    try:
        with explained(place, "read"):
            known = contents.names(connection)
        if name is None and not known:
            raise StorageError(f"there is no study in {str(path)!r}", "create_study(..., storage=path)")
        if name is not None and name not in known:
            raise UnknownNameError("study", name, known)
        if name is None:
            with explained(place, "read"):
                _check_newest(connection, path)
        study = known[list(known)[-1] if name is None else name]
        claim = Claim(place, connection, study) if write else None
    except BaseException:
        connection.close()
        raise
    return Opened(Path(path), place, connection, study, claim)


def _check_newest(connection: Connection, path: Path_) -> None:
    """Never another study in its place without a word: say that it is damaged, and which can be read.

    Raises:
        StorageError: if its head cannot be read.
    """
    damage, names = None, []
    for name, study in contents.names(connection).items():
        try:
            contents.status(connection, study, contents.header(connection, study))
        except StorageError as error:
            damage = error
        else:
            damage = None
            names.append(name)
    if damage is not None:
        others = f"; load_study({str(path)!r}, {names[-1]!r}) opens another" if names else ""
        raise StorageError(f"the newest study: {damage.message}", f"{damage.hint}{others}") from damage


def _name(connection: Connection, wanted: str, path: Path_) -> str:
    """The name of a new study: as it is wanted, or the next number."""
    taken = contents.names(connection)
    if wanted in taken:
        raise ArgumentError(
            f"{str(path)!r} has a study {wanted!r} already",
            "load_study(path, name) goes on with it; another name begins another study",
        )
    return wanted or next(f"study {n}" for n in range(1, len(taken) + 2) if f"study {n}" not in taken)
