"""One writer at a time for a study: locks that vanish with their process, however that ends.

One lies beside the file, under its real path, for every system and for earlier versions; one is on the file
itself, so that no other name of it lets a second writer in: a hard link, or where it was moved to.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import platform
from pathlib import Path

from filelock import FileLock, Timeout

from nemo_lab.errors import StorageError
from nemo_lab.study.journal.files import Connection, Key, key_of, lock_study, other_name, unlock_study
from nemo_lab.study.journal.rows import object_of
from nemo_lab.study.journal.schema import explained

NOBODY = "{}"  # a note of nobody who writes


class Claim:
    """The right to write a study.

    Args:
        path: of the file, with all links resolved.
        connection: to it.
        study: number of the study.

    Raises:
        StorageError: if another has the right, who is named; or the folder cannot be written to.
    """

    def __init__(self, path: Path, connection: Connection, study: int) -> None:
        self._beside = FileLock(f"{path}-study{study}.lock", timeout=0)
        self._study, self._process = study, os.getpid()
        with explained(path, "lock"):
            self.key: Key = key_of(path)
            try:
                self._beside.acquire()
            except Timeout as error:
                raise _taken(path, connection, study) from error
            try:
                if not lock_study(path, self.key, study):
                    raise _taken(path, connection, study)
            except BaseException:
                self._beside.release()
                raise

    def release(self, *, forget: bool = False) -> None:
        """Give the right back.

        Args:
            forget: whether the study was never begun: nothing of it stays.
        """
        if self._process != os.getpid():  # a copy of the process that has it
            return
        unlock_study(self.key, self._study)
        if forget:
            with contextlib.suppress(OSError):
                os.unlink(self._beside.lock_file)
        self._beside.release()


def note_of_writer(key: Key, place: Path) -> str:
    """Who writes a file, and by which name, for those who find it locked, or not closed."""
    now = datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds")
    who = {"pid": os.getpid(), "host": platform.node(), "since": now}
    return json.dumps({**who, "file": list(key), "place": str(place)})


def check_names(connection: Connection, place: Path) -> None:
    """Refuse a file of several names that was not closed by another of them.

    SQLite keeps what was written last beside the name by which a file was opened, and looks by no other.

    Raises:
        StorageError: if a part of it may lie beside another name.
    """
    if place.stat().st_nlink < 2:
        return
    for (note,) in connection.execute("SELECT writer FROM studies").fetchall():
        who = object_of(note)
        if who and who.get("place") != str(place):
            raise other_name(place, who.get("place", "?"))


def note_of(connection: Connection, study: int) -> str:
    """What the last one who wrote a study left as a note."""
    found = connection.execute("SELECT writer FROM studies WHERE study = ?", (study,)).fetchone()
    return str(found[0]) if found else ""


def _taken(path: Path, connection: Connection, study: int) -> StorageError:
    who = object_of(note_of(connection, study))
    return StorageError(
        f"a process writes this study of {str(path)!r} already: "
        f"{who.get('pid', '?')} on {who.get('host', '?')}, since {who.get('since', '?')}",
        "watch it by load_study(path, read_only=True), or close it there: study.close()",
    )


def is_gone(note: str, key: Key) -> bool:
    """Whether nobody writes the file any more, as far as is known.

    Args:
        note: of the one who wrote it last.
        key: of the file: in a copy of it, the note is about another one.
    """
    who = object_of(note)
    pid = who.get("pid")
    if pid is None or who.get("file", list(key)) != list(key):
        return True
    if os.name != "posix" or who.get("host") != platform.node() or type(pid) is not int or pid < 1:
        return False
    try:
        os.kill(pid, 0)  # sends nothing
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
