"""Frames of a figure as bytes, and what of a frame is new: only that goes to the browser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nemo_lab.plots import Coded, Columns

Packed = dict[str, dict[str, Any]]
WHOLE = 0.25  # a column of which a larger part differs is sent as a whole
SIZES = {"f4": 4, "i4": 4, "u1": 1}


def packed(columns: Columns) -> Packed:
    """Columns as the browser takes them: numbers as bytes, text as lists."""
    return {name: {key: _packed(value) for key, value in data.items()} for name, data in columns.items()}


def _packed(value: Any) -> Any:
    if isinstance(value, Coded):
        return {**_packed(value.codes.astype(np.uint8)), "labels": list(value.labels)}
    if isinstance(value, np.ndarray):
        kind = {"f": "f4", "i": "i4", "u": "u1"}[value.dtype.kind]
        return {"dtype": kind, "data": np.ascontiguousarray(value, dtype=f"<{kind}").tobytes()}
    return value


def changes(old: Packed, new: Packed) -> tuple[dict[str, Any], list[bytes]]:
    """What turns one frame's columns into another's.

    Returns:
        by source and column: a list of text, or ``dtype``, ``labels``, ``length`` and up to two pieces, each
        given by numbers of buffers: ``tail`` from row ``start`` on, ``values`` at ``rows``; and the buffers.
    """
    buffers: list[bytes] = []
    found: dict[str, Any] = {}
    for name, columns in new.items():
        before = old.get(name, {})
        changed = {
            key: _change(before.get(key), value, buffers)
            for key, value in columns.items()
            if before.get(key) != value
        }
        if changed:
            found[name] = changed
    return found, buffers


def _change(old: Any, new: Any, buffers: list[bytes]) -> Any:
    if not isinstance(new, Mapping):
        return new
    size = SIZES[new["dtype"]]
    had = old["data"] if isinstance(old, Mapping) and old["dtype"] == new["dtype"] else b""
    count, common = len(new["data"]) // size, min(len(new["data"]), len(had)) // size
    kind = f"<u{size}"  # bit for bit, so that NaN equals NaN
    differing = np.flatnonzero(
        np.frombuffer(had, kind, common) != np.frombuffer(new["data"], kind, common)
    ).astype("<i4")
    if len(differing) > WHOLE * common:
        common, differing = 0, differing[:0]
    change = {
        **{key: new[key] for key in ("dtype", "labels") if key in new},
        "length": count,
        "start": common,
    }
    if common < count:
        change["tail"] = len(buffers)
        buffers.append(new["data"][common * size :])
    if len(differing):
        change["rows"], change["values"] = len(buffers), len(buffers) + 1
        buffers += [differing.tobytes(), np.frombuffer(new["data"], kind)[differing].tobytes()]
    return change
