"""Journals that this process has open, by device and inode, whatever their names are.

Where a process closes any descriptor of a file, the system drops all locks that SQLite holds on that file for
the process. So the descriptor that a lock of ours needs is shared, and stays open as long as any connection.
"""

from __future__ import annotations

import os
import sqlite3
import struct
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nemo_lab.errors import ArgumentError, StorageError

PLACE = 2**62  # of the bytes that stand for studies: far beyond the end of any file, and SQLite's own locks
MAGIC = b"SQLite format 3\x00"

Key = tuple[int, int]  # device and inode


@dataclass
class _File:
    """A file that is open: how many connections, its name, the descriptor for locks, and whose those are."""

    connections: int = 0
    name: Path = Path()
    descriptor: int = -1
    studies: set[int] = field(default_factory=set)


_files: dict[Key, _File] = {}
guard = threading.RLock()


def key_of(path: Path) -> Key:
    """Device and inode of what lies at a path.

    Raises:
        OSError: if nothing does.
    """
    found = path.stat()
    return found.st_dev, found.st_ino


class Connection(sqlite3.Connection):
    """A connection that is counted, so that nobody closes the file below it."""

    _key: Key | None = None
    immutable = False  # whether it takes the file for one that nobody writes

    @classmethod
    def to(cls, path: Path, mode: str) -> Connection:
        """A connection by a mode of SQLite's URIs; the file is made if the mode says so.

        Raises:
            OSError, sqlite3.Error: if it cannot be opened.
        """
        with guard:
            if mode == "rwc" and not path.exists():
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644))
            key = key_of(path)
            check_name(path)
            connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={mode}",
                uri=True,
                timeout=30,
                isolation_level=None,
                check_same_thread=False,
                factory=cls,
            )
            connection._key = key
            file = _files.setdefault(key, _File(name=path))
            file.connections += 1
        connection.immutable = "immutable" in mode
        connection.text_factory = _text
        try:
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.execute("PRAGMA cell_size_check=ON")
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        """As SQLite does; harmless twice."""
        with guard:
            key, self._key = self._key, None
            super().close()
            if key is not None:
                _files[key].connections -= 1
                _let_go(key)


def _text(raw: bytes) -> str:
    """Whatever a damaged file holds; the check sum tells that it is not what was written."""
    return raw.decode(errors="replace")


def check_name(path: Path) -> None:
    """Refuse a file that this process has open by another name: SQLite would mix up what lies beside them.

    Raises:
        StorageError: if it has.
    """
    file = _files.get(key_of(path))
    if file is not None and file.name != path and file.name.exists() and file.name.samefile(path):
        raise other_name(path, file.name)


def check_closed(path: str | os.PathLike[str]) -> None:
    """Refuse to read a journal that is open here by other means: closing it would drop SQLite's locks.

    Raises:
        OSError: if nothing lies at the path.
        ArgumentError: if it is open.
    """
    with guard:
        known = key_of(Path(path)) in _files
    if known:
        raise ArgumentError(
            f"{os.fspath(path)!r} is a journal, which is open here",
            "give study.config(id), or a front's table",
        )


def other_name(path: Path, known: object) -> StorageError:
    """The error for a file of several names."""
    return StorageError(
        f"{str(path)!r} has another name (a hard link), by which it was opened and not closed yet: {known}",
        "close it there; if nobody has it open, load_study by that name and close() it",
    )


def lock_study(path: Path, key: Key, study: int) -> bool:
    """Lock a study of an open file for this process, by any name of the file.

    Returns:
        False if it is locked already, here or in another process.
    """
    with guard:
        file = _files[key]
        if study in file.studies:
            return False
        if file.descriptor < 0 and _can_lock():
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            if key_of_descriptor(descriptor) != key:  # another file took the name: nobody has that one open
                os.close(descriptor)
                raise FileNotFoundError(f"another file has taken the place of {str(path)!r}")
            file.descriptor = descriptor
        if file.descriptor >= 0 and not _set_lock(file.descriptor, study, locked=True):
            _let_go(key)
            return False
        file.studies.add(study)
        return True


def unlock_study(key: Key, study: int) -> None:
    """Take ``lock_study`` back."""
    with guard:
        file = _files[key]
        file.studies.discard(study)
        if file.descriptor >= 0:
            _set_lock(file.descriptor, study, locked=False)
        _let_go(key)


def begins_as_a_database(key: Key) -> bool:
    """Whether a locked file still begins as SQLite's files do."""
    with guard:
        descriptor = _files[key].descriptor if key in _files else -1
        return descriptor < 0 or os.pread(descriptor, len(MAGIC), 0) == MAGIC


def key_of_descriptor(descriptor: int) -> Key:
    """Device and inode of an open file."""
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


def _let_go(key: Key) -> None:
    file = _files[key]
    if not file.connections and not file.studies:
        if file.descriptor >= 0:
            os.close(file.descriptor)
        del _files[key]


def _can_lock() -> bool:
    """Whether the system has locks that belong to a descriptor rather than to the process."""
    return sys.platform == "linux" and sys.maxsize > 2**32


def _set_lock(descriptor: int, study: int, *, locked: bool) -> bool:
    import fcntl

    kind: Any = fcntl.F_WRLCK if locked else fcntl.F_UNLCK
    request = struct.pack("hhqqi4x", kind, os.SEEK_SET, PLACE + study, 1, 0)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, request)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a file system without such locks: the lock beside the file has to do
        return True
    return True
