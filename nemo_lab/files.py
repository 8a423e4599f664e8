"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from nemo_lab.arguments import File
from nemo_lab.errors import ArgumentError


def write_text(text: str, path: str | os.PathLike[str]) -> Path:
    """Write a text; see ``write_bytes``."""
    return write_bytes(text.encode(), path)


def write_bytes(data: bytes, path: str | os.PathLike[str]) -> Path:
    """Write a file; one of that name is replaced, or left whole on failure.

    Raises:
        ArgumentError: if the file cannot be written.
    """
    target = Path(File().check("path", path))
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".nemo_lab-", suffix=".tmp")
        try:
            with open(handle, "wb") as file:
                file.write(data)
            os.chmod(name, 0o644)
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise unwritable(target, error) from error
    return target


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """What is in a file.

    Raises:
        ArgumentError: if it cannot be read.
    """
    source = File().check("path", path)
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise ArgumentError(f"cannot read {source!r}: {error.strerror}", "give a file that exists") from error


def unwritable(path: str | os.PathLike[str], error: OSError) -> ArgumentError:
    """The error that says that a file cannot be written, and the way out that fits the reason."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    hint = "make room, or give a place that has some" if full else "give a file in a folder that exists"
    return ArgumentError(f"cannot write {os.fspath(path)!r}: {error.strerror}", hint)
