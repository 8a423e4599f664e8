"""What SQLite keeps beside a file, its write-ahead log: whether a part of it was lost.

SQLite does not look: it writes behind where its index says that the log ends, and moves whatever lies there
to the file. The layout is in https://sqlite.org/fileformat2.html#the_write_ahead_log.
"""

from __future__ import annotations

import contextlib
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

MAGIC = 0x377F0682  # or one more, by the order of bytes in its check sums
LAYOUT = ">I4xI4x8s8x"  # of the header: that number, bytes of a page, salts
PATIENCE = 1.0  # seconds for a commit of another process
HEADER, HEAD = 32, 24  # bytes of the log's header, and of a frame's, which a page follows
Salts = bytes  # 8 bytes that change whenever the log begins anew


class Log:
    """A file's log up to the last commit that was seen in it.

    Args:
        path: of the file, with all links resolved.
        whole: whether a fresh look at the file finds what was written last: asked where the log began anew,
            as it may once all of it is in the file.

    Attributes:
        frames: pages up to that commit.
    """

    def __init__(self, path: Path, whole: Callable[[], bool]) -> None:
        self._path, self._whole = f"{path}-wal", whole
        self._salts: Salts = b""
        self._last, self._cut = b"", False
        self.frames = 0
        self.is_cut()

    def is_cut(self, *, wrote: bool = False) -> bool:
        """Look whether a part was lost since the last look; once it was, it stays so.

        Args:
            wrote: whether something was committed since.

        Raises:
            OSError: if there is no log.
        """
        if not self._cut:
            log = os.open(self._path, os.O_RDONLY)  # no locks of SQLite's are on it
            try:
                self._cut = self._look(log, wrote)
            finally:
                os.close(log)
        return self._cut

    def _look(self, log: int, wrote: bool) -> bool:
        header = os.pread(log, HEADER, 0)
        empty = len(header) < HEADER
        magic, size, salts = struct.unpack(LAYOUT, header.ljust(HEADER, b"\0"))
        if not empty and magic & ~1 != MAGIC:
            return self._lost(0)
        anew, had = salts != self._salts, bool(self._salts)
        if not anew and _frame(log, size, self.frames) != self._last:
            if os.pread(log, HEADER, 0) != header:
                return self._look(log, wrote)  # it began anew just now
            return self._lost(_whole_part(log, size, salts))
        if anew:
            self._salts, self.frames = b"", 0
        if wrote and not empty and not self._follow(log, size, salts):
            return self._lost(_whole_part(log, size, salts))
        return anew and (had or (wrote and empty)) and not self._whole()

    def _follow(self, log: int, size: int, salts: Salts) -> bool:
        """Go on to the last commit; whether one came, be it another process's."""
        before, deadline = self.frames, time.monotonic() + PATIENCE
        while True:
            frame = self.frames + 1
            while (head := _head(log, size, frame))[8:16] == salts:  # others are of an older log
                whole = _frame(log, size, frame)
                if head[4:8] != bytes(4) and len(whole) == HEAD + size:
                    self._salts, self.frames, self._last = salts, frame, whole
                frame += 1
            if self.frames > before or time.monotonic() > deadline:
                return self.frames > before
            time.sleep(0.01)

    def _lost(self, whole: int) -> bool:
        """Leave so many bytes, so that nobody moves a hole into the file."""
        with contextlib.suppress(OSError):
            os.truncate(self._path, whole)
        return True


def _frame(log: int, size: int, frame: int) -> bytes:
    """A frame, from 1: its page's number, the file's size if it commits, salts, check sums, the page."""
    return os.pread(log, HEAD + size, HEADER + (frame - 1) * (HEAD + size))


def _head(log: int, size: int, frame: int) -> bytes:
    """A frame without its page; less than that at the end of the log."""
    return os.pread(log, HEAD, HEADER + (frame - 1) * (HEAD + size))


def _whole_part(log: int, size: int, salts: Salts) -> int:
    """Bytes up to the last commit before the first loss."""
    commits, frame = [0], 1
    while (head := _head(log, size, frame))[8:16] == salts:
        if head[4:8] != bytes(4):
            commits.append(frame)
        frame += 1
    last = max([one for one in commits if one < frame - 1], default=0)  # one more may lack a part of its page
    return HEADER + last * (HEAD + size)
