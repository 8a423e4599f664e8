"""The doors of a file: a study that is begun in it, or found there."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nemo_lab import closing
from nemo_lab.errors import ArgumentError, StorageError, UnknownNameError
from nemo_lab.study.journal import contents, migration
from nemo_lab.study.journal.files import Connection, key_of
from nemo_lab.study.journal.fresh import fresh
from nemo_lab.study.journal.lock import Claim, check_names, note_of_writer
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
        mark: of the study's rows; see ``rows.crc_of``.
        noted: whether it is noted who writes it.
    """

    path: Path
    place: Path
    connection: Connection
    study: int
    claim: Claim | None
    mark: int
    noted: bool = False
    _times: tuple[int, int] | None = None

    def version(self) -> Any:
        """Another value than before, if another connection has written meanwhile.

        Raises:
            StorageError: if another file has taken the place of the one that was opened.
        """
        if not self.connection.immutable:
            return self.connection.execute("PRAGMA data_version").fetchone()[0]
        now = self.place.stat()
        times = now.st_mtime_ns, now.st_size
        # SQLite takes it for a file that nobody writes, and does not look
        if self._times not in (None, times):
            self.connection.close()
            self.connection = connect(self.place, write=False)
            if self.mark not in (0, contents.mark_of(self.connection, self.study)):
                raise StorageError(
                    f"another file has taken the place of {str(self.path)!r}", "load_study(path) opens it"
                )
        self._times = times
        return times

    def take_up(self, claim: Claim) -> None:
        """Bring the file to the format that is written, and note who writes it."""
        if self.noted:
            return
        with explained(self.path, "write to"), contents.transaction(self.connection):
            migration.bring_up(self.connection, self.place, self.study)
            note = "UPDATE studies SET writer = ? WHERE study = ?"
            self.connection.execute(note, (note_of_writer(claim.key, self.place), self.study))
        self.mark, self.noted = contents.mark_of(self.connection, self.study), True

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
    """Where a path leads, so that a file has one name.

    Raises:
        StorageError: if that cannot be looked up.
    """
    with explained(Path(path), "open"):
        place = Path(os.path.realpath(path))
        special = place.exists() and not (place.is_file() or place.is_dir())
    if special:
        raise StorageError(f"{str(path)!r} is not a file, but a pipe, a device or the like", "give a file")
    return place


def begun(path: Path_, header: Header, stored: Stored | None, annotations: contents.Annotations) -> Opened:
    """Begin a study; see ``Journal.create``."""
    closing.catch_up()
    place = real(path)

    def begin(connection: Connection, file: Path) -> tuple[str, int]:
        name = _name(connection, header.name, path)
        study = contents.begin(connection, replace(header, name=name), note_of_writer(key_of(file), place))
        if stored is not None:
            contents.add(connection, study, stored)
        for kind, notes in annotations.items():
            for key, value in notes.items():
                contents.annotate(connection, study, kind, key, value)
        return name, study

    if not place.exists():
        try:
            with (
                fresh(place) as new,
                contextlib.closing(connect(new, write=True)) as connection,
                explained(place, "write to"),
                contents.transaction(connection),
            ):
                name, _ = begin(connection, new)
        except StorageError:
            if not place.exists():
                raise  # else another process was quicker: the study goes into its file
        else:
            return replace(found(path, name, write=True), noted=True)
    connection, claim = connect(place, write=True), None
    try:
        with explained(place, "write to"), contents.transaction(connection):
            check_names(connection, place)
            migration.bring_up(connection, place)
            _, study = begin(connection, place)
            claim = Claim(place, connection, study)
    except BaseException:
        if claim is not None:
            claim.release(forget=True)
        connection.close()
        raise
    return Opened(
        Path(path), place, connection, study, claim, contents.mark_of(connection, study), noted=True
    )


def found(path: Path_, name: str | None, *, write: bool) -> Opened:
    """Find a study; see ``Journal.open``."""
    if write:
        closing.catch_up()
    place = real(path)
    if write and not place.exists():
        raise StorageError(f"there is no file {str(path)!r}", "create_study(..., storage=path) makes one")
    if write and not place.stat().st_size:
        raise StorageError(f"there is no study in {str(path)!r}", "create_study(..., storage=path)")
    connection, claim = connect(place, write=write), None
    try:
        with explained(place, "read"):
            check_names(connection, place)
            known = contents.names(connection)
        if name is None and not known:
            raise StorageError(f"there is no study in {str(path)!r}", "create_study(..., storage=path)")
        if name is not None and name not in known:
            raise UnknownNameError("study", name, known)
        if name is None:
            with explained(place, "read"):
                _check_newest(connection, path)
        study = known[list(known)[-1] if name is None else name]
        with explained(place, "read"):
            mark = contents.mark_of(connection, study)
        claim = Claim(place, connection, study) if write else None
    except BaseException:
        connection.close()
        raise
    return Opened(Path(path), place, connection, study, claim, mark)


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
