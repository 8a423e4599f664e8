"""A new file that is there as a whole, or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nemo_lab.errors import StorageError

PARTS = ("", "-wal", "-shm", "-journal")  # of a database
LEFT = ("-wal", "-journal")  # with what was written last


def check_new(path: Path, *, alone: bool = True) -> None:
    """Whether a new file can be made at a path.

    Args:
        path: of the file.
        alone: whether nothing that is left of another may lie beside it.

    Raises:
        StorageError: if there is one already, or what is left of one, or no folder that may be written to.
    """
    if os.path.lexists(path):
        raise StorageError(f"{str(path)!r} exists already", "give a new path")
    left = [f"{path}{part}" for part in LEFT if os.path.lexists(f"{path}{part}")]
    if left and alone:
        raise StorageError(
            f"{str(path)!r} is not there, but {Path(left[0]).name!r} is: what a killed program wrote last to "
            "a file of that name, and SQLite would put it into the new one",
            "move the file back beside it, or delete what is left of it; or give another path",
        )
    if not path.parent.is_dir():
        raise StorageError(f"there is no folder {str(path.parent)!r}", "make it first")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise StorageError(f"cannot make {str(path)!r}: no right to", "give a folder that you may write to")


@contextmanager
def fresh(path: Path) -> Iterator[Path]:
    """A place beside a path, to be filled in the body; it gets the path's name at the end, or goes again.

    Raises:
        StorageError: if there is a file of that name already, or it cannot be made.
    """
    check_new(path)
    place = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        yield place
        _name(place, path)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise StorageError(f"{str(path)!r} is too long a name", "give a shorter one") from error
        raise StorageError(f"cannot make {str(path)!r}: {error.strerror}", "give another path") from error
    finally:
        discard(place)


def discard(path: Path) -> None:
    """Remove a database, with what lies beside it."""
    for part in PARTS:
        with contextlib.suppress(OSError):
            os.unlink(f"{path}{part}")


def _name(place: Path, path: Path) -> None:
    if any(os.path.exists(f"{place}{part}") for part in PARTS[1:]):  # closing it moves all into the one file
        raise StorageError(f"cannot write {str(path)!r} as a whole", "make room on the disk")
    try:
        os.link(place, path)  # which overwrites nothing
    except FileExistsError as error:
        raise StorageError(f"{str(path)!r} exists already", "give a new path") from error
    except OSError:  # a file system without hard links
        if os.path.lexists(path):
            raise StorageError(f"{str(path)!r} exists already", "give a new path") from None
        os.rename(place, path)
