"""Nested numbers, texts and arrays as one JSON text and one blob; nothing read is executed or unpickled."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from nemo_lab.errors import StorageError

KINDS = "biuf"  # booleans, integers, floats: what a file may say an array is made of
MARK = "$"  # keys that begin with it are ours; those of others get one more


def pack(value: Any) -> tuple[str, bytes]:
    """Text and blob of dicts with text keys, lists, tuples, texts, numbers, booleans, None, arrays and bytes.

    Floats and integers keep every digit; tuples come back as lists.

    Raises:
        TypeError: on anything else.
    """
    parts: list[bytes] = []
    length = 0

    def keep(raw: bytes) -> int:
        nonlocal length
        parts.append(raw)
        length += len(raw)
        return length - len(raw)

    def plain(one: Any) -> Any:
        if one is None or isinstance(one, bool | int | float | str):
            return one
        if isinstance(one, np.generic):
            return one.item()
        if isinstance(one, np.ndarray):
            if one.dtype.kind not in KINDS:
                raise TypeError(f"an array of {one.dtype} cannot be stored")
            array = one.astype(one.dtype.newbyteorder("<"), copy=False)
            return {"$array": [array.dtype.str, list(array.shape), keep(array.tobytes())]}
        if isinstance(one, bytes):
            return {"$bytes": [keep(one), len(one)]}
        if isinstance(one, Mapping):
            if not all(isinstance(key, str) for key in one):
                raise TypeError("a key is not text")
            return {MARK + key if key.startswith(MARK) else key: plain(item) for key, item in one.items()}
        if isinstance(one, list | tuple):
            return [plain(item) for item in one]
        raise TypeError(f"a {type(one).__name__} cannot be stored")

    text = json.dumps(plain(value), separators=(",", ":"))
    return text, b"".join(parts)


def unpack(text: str, blob: bytes) -> Any:
    """What ``pack`` was given; arrays are fresh and can be written to.

    Raises:
        StorageError: on what ``pack`` cannot have made.
    """
    try:
        return _made(json.loads(text), memoryview(blob))
    except (ValueError, TypeError, KeyError, IndexError, RecursionError, OverflowError, MemoryError) as error:
        raise StorageError(
            f"a record of the journal is damaged: {error}",
            "nemo_lab.study.salvage(path, new_path) copies all that can be read",
        ) from error


def _made(one: Any, blob: memoryview) -> Any:
    if isinstance(one, list):
        return [_made(item, blob) for item in one]
    if not isinstance(one, dict):
        return one
    if "$array" in one:
        kind, shape, start = one["$array"]
        dtype = np.dtype(str(kind))
        if dtype.kind not in KINDS or dtype.hasobject or dtype.itemsize > 8 or dtype.shape:
            raise ValueError(f"an array of {kind}")
        shape = [_count(size) for size in shape]
        raw = _slice(blob, start, math.prod(shape) * dtype.itemsize)
        return np.frombuffer(raw, dtype=dtype).reshape(shape).astype(dtype.newbyteorder("="))
    if "$bytes" in one:
        start, length = one["$bytes"]
        return bytes(_slice(blob, start, length))
    return {key.removeprefix(MARK): _made(item, blob) for key, item in one.items()}


def _slice(blob: memoryview, start: Any, length: Any) -> memoryview:
    start, length = _count(start), _count(length)
    if start + length > len(blob):
        raise ValueError(f"{length} bytes from {start} of {len(blob)}")
    return blob[start : start + length]


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is not a size")
    return value
