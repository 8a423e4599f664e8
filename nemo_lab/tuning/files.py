"""Files of tensors and plain values, which run nothing when they are read."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any

import torch

from nemo_lab.errors import DataError
from nemo_lab.files import read_bytes, write_bytes

MARK = b"nemo_lab tensors 1\n"  # a file begins with it, and a digest of all that follows
DIGEST = 16  # bytes


def written(record: dict[str, Any], path: str | os.PathLike[str]) -> Path:
    """Write a record of tensors and plain values; a file of that name is replaced, or left whole on failure.

    Raises:
        ArgumentError: if the file cannot be written.
    """
    buffer = io.BytesIO()
    torch.save(record, buffer)
    data = buffer.getvalue()
    return write_bytes(MARK + _digest(data) + data, path)


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A record that ``written`` wrote.

    Raises:
        ArgumentError: if there is no such file.
        DataError: if it is damaged, or something else.
    """
    data, source = read_bytes(path), Path(path)
    start = len(MARK) + DIGEST
    try:
        if data[:start] != MARK + _digest(data[start:]):
            raise ValueError
        found = torch.load(io.BytesIO(data[start:]), weights_only=True, map_location="cpu")
    except Exception as error:  # whatever a damaged file makes of it
        raise DataError(f"{source.name} is damaged, or something else", "write it again") from error
    if not isinstance(found, dict):
        raise DataError(f"{source.name} holds a {type(found).__name__}", "give a file that nemo_lab wrote")
    return found


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST).digest()
