"""One writer at a time for a study: a lock that vanishes with its process, however that ends."""

from __future__ import annotations

import datetime
import json
import os
import platform
import sqlite3
from pathlib import Path

from filelock import FileLock, Timeout

from nemo_lab.errors import StorageError
from nemo_lab.study.journal.rows import object_of
from nemo_lab.study.journal.schema import explained


def become_writer(path: Path, connection: sqlite3.Connection, study: int) -> FileLock:
    """Take the lock of a study, and leave a note of who has it.

    Raises:
        StorageError: if another has it, who is named; or the folder cannot be written to.
    """
    lock = FileLock(f"{path}-study{study}.lock", timeout=0)
    with explained(path, "lock"):
        try:
            lock.acquire()
        except Timeout as error:
            (text,) = connection.execute("SELECT writer FROM studies WHERE study = ?", (study,)).fetchone()
            who = object_of(text)
            raise StorageError(
                f"a process writes this study of {str(path)!r} already: "
                f"{who.get('pid', '?')} on {who.get('host', '?')}, since {who.get('since', '?')}",
                "watch it by load_study(path, read_only=True), or close it there: study.close()",
            ) from error
    now = datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds")
    note = json.dumps({"pid": os.getpid(), "host": platform.node(), "since": now})
    try:
        with explained(path, "write"):
            connection.execute("UPDATE studies SET writer = ? WHERE study = ?", (note, study))
    except BaseException:
        lock.release()
        raise
    return lock


def is_gone(note: str) -> bool:
    """Whether the process that left a note is known to have ended: one of this machine, killed perhaps."""
    who = object_of(note)
    pid = who.get("pid")
    if os.name != "posix" or who.get("host") != platform.node() or type(pid) is not int or pid < 1:
        return False
    try:
        os.kill(pid, 0)  # sends nothing
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
