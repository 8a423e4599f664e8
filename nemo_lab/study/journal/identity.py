"""Whether what is written still goes to where it will be looked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from nemo_lab.errors import StorageError
from nemo_lab.study.journal.files import Key, begins_as_a_database

MEMBERS = {"": "the file", "-wal": "what was written last", "-shm": "the index of what was written last"}


class Identity:
    """A journal's file, with what SQLite keeps beside it, as they were after the last write.

    SQLite goes on writing to a file that was deleted, moved or replaced, and nobody ever finds what it wrote.

    Args:
        path: of the file, with all links resolved.
        key: of the file.
        whole: whether a fresh look at the file still finds what was written last.
    """

    def __init__(self, path: Path, key: Key, whole: Callable[[], bool]) -> None:
        self._path, self._key, self._whole = path, key, whole
        self._seen: dict[str, tuple[Key, int]] = {}
        self.note()

    def note(self) -> None:
        """Take all as it is now for right."""
        for suffix in MEMBERS:
            try:
                found = os.stat(f"{self._path}{suffix}")
            except OSError:
                continue  # as ``check`` will say
            key = found.st_dev, found.st_ino
            if self._seen.get(suffix, (key,))[0] == key:
                self._seen[suffix] = key, found.st_size

    def check(self) -> None:
        """Refuse to write where it would be lost.

        Raises:
            StorageError: if the file or a part of it is gone, another one, or shorter than it was.
        """
        wrong = self._wrong()
        if wrong:
            raise StorageError(
                f"cannot write {str(self._path)!r}: {wrong}",
                "everything is still in memory: study.save_as(path) keeps it in another file",
            )

    def _wrong(self) -> str:
        for suffix, what in MEMBERS.items():
            name = f"{what}, {os.path.basename(self._path)}{suffix},"
            try:
                found = os.stat(f"{self._path}{suffix}")
            except OSError as error:
                return f"{name} is not there any more ({error.strerror})"
            key, size = self._seen.get(suffix, ((found.st_dev, found.st_ino), 0))
            if key != (found.st_dev, found.st_ino):
                return f"{name} is another file now"
            # a process that rests moves the latest into the file, and leaves nothing beside it
            if found.st_size < size and not (suffix == "-wal" and self._whole()):
                return f"{name} lost its end"
        return "" if begins_as_a_database(self._key) else "the file was overwritten"
