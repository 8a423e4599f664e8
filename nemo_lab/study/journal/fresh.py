"""A new file that is there as a whole, or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nemo_lab.errors import StorageError

PARTS = ("", "-wal", "-shm", "-journal")  # of a database


@contextmanager
def fresh(path: Path) -> Iterator[Path]:
    """A place beside a path, to be filled in the body; it gets the path's name at the end, or goes again.

    Raises:
        StorageError: if there is a file of that name already, or it cannot be made.
    """
    if os.path.lexists(path):
        raise StorageError(f"{str(path)!r} exists already", "give a new path")
    if not path.parent.is_dir():
        raise StorageError(f"there is no folder {str(path.parent)!r}", "make it first")
    place = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        yield place
        _name(place, path)
    finally:
        discard(place)


def discard(path: Path) -> None:
    """Remove a database, with what lies beside it."""
    for part in PARTS:
        with contextlib.suppress(OSError):
            os.unlink(f"{path}{part}")


def _name(place: Path, path: Path) -> None:
    try:
        os.link(place, path)  # which overwrites nothing
    except FileExistsError as error:
        raise StorageError(f"{str(path)!r} exists already", "give a new path") from error
    except OSError:  # a file system without hard links
        if os.path.lexists(path):
            raise StorageError(f"{str(path)!r} exists already", "give a new path") from None
        os.rename(place, path)
