"""Files that are written whole or not at all."""

from __future__ import annotations

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
        raise ArgumentError(
            f"cannot write {str(target)!r}: {error.strerror}", "give a file in a folder that exists"
        ) from error
    return target
