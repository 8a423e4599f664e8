"""Whether what is written still goes to where it will be looked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from nemo_lab.errors import StorageError
from nemo_lab.study.journal.files import Key, begins_as_a_database
from nemo_lab.study.journal.log import Log

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
        self._path, self._key = path, key
        self._log = Log(path, whole)
        self._whole = whole
        self._seen: dict[str, tuple[Key, int, int]] = {}
        self.check()

    def check(self, *, wrote: bool = False) -> None:
        """Refuse to write where it would be lost, or say that it was; what is seen has to be there next time.

        Args:
            wrote: whether something was committed since the last check.

        Raises:
            StorageError: if the file or a part of it is gone, another one, or was cut.
        """
        wrong = self._wrong(wrote)
        if wrong:
            raise StorageError(
                f"cannot write {str(self._path)!r}: {wrong}",
                "everything is still in memory: study.save_as(path) keeps it in another file",
            )

    @property
    def pages(self) -> int:
        """That were written, and may not be in the file itself yet."""
        return self._log.frames

    def _wrong(self, wrote: bool) -> str:
        for suffix, what in MEMBERS.items():
            name = f"{what}, {os.path.basename(self._path)}{suffix},"
            try:
                found = os.stat(f"{self._path}{suffix}")
                cut = suffix == "-wal" and self._log.is_cut(wrote=wrote)
            except OSError as error:
                return f"{name} is not there any more ({error.strerror})"
            now = (found.st_dev, found.st_ino), found.st_size, found.st_mtime_ns
            key, size, time = self._seen.get(suffix, now)
            if key != now[0]:
                return f"{name} is another file now"
            if cut or (suffix != "-wal" and found.st_size < size):
                return f"{name} lost a part"
            if (
                not suffix and time != found.st_mtime_ns and not self._whole()
            ):  # it is not only we who write it
                return f"{name} was written over"
            self._seen[suffix] = now
        return "" if begins_as_a_database(self._key) else "the file was overwritten"
