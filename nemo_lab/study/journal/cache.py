"""What the studies of a file measured of the same workload and data by the same settings."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import struct
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nemo_lab.study.journal.records import Header
from nemo_lab.study.journal.rows import evaluation_crc

Known = dict[bytes, NDArray[np.float64]]
NO_BYTES = (TypeError, struct.error)  # what a check sum says to anything but bytes and numbers


def fingerprint(parts: Mapping[str, str]) -> str:
    """The digests of a study as one text, equal where workload, data and settings are."""
    return json.dumps(dict(sorted(parts.items())))


def measured(
    connection: sqlite3.Connection, header: Header, others: Sequence[Mapping[str, str]] = ()
) -> Known:
    """Objectives float64[K] by the bytes of uint8[Q]; what is damaged is left out, to be measured again.

    Args:
        connection: to a file.
        header: of a study in it.
        others: further forms of the study's fingerprint: versions of nemo_lab write different ones.
    """
    nodes, count = header.problem.num_nodes, len(header.problem.objective_names)
    rows: list[bytes] = []
    values: list[bytes] = []

    def take(bits: bytes, objectives: bytes, whole: bool) -> None:
        if whole and len(bits) == nodes and len(objectives) == 8 * count:
            rows.append(bits)
            values.append(objectives)

    for same in sorted({fingerprint(one) for one in (header.fingerprint, *others)}):
        for bits, objectives, crc in connection.execute(
            "SELECT bits, objectives, crc FROM answers WHERE fingerprint = ?", (same,)
        ):
            with contextlib.suppress(*NO_BYTES):
                take(bits, objectives, _crc(bits, objectives) == crc)
        for number, bits, objectives, *rest, crc in connection.execute(
            "SELECT number, bits, objectives, species, origin, generation, crc FROM evaluations "
            "JOIN studies USING (study) WHERE fingerprint = ?",
            (same,),
        ):
            with contextlib.suppress(*NO_BYTES):
                take(bits, objectives, evaluation_crc(number, bits, objectives, rest) == crc)
    numbers = np.frombuffer(b"".join(values), dtype="<f8").astype(np.float64).reshape(-1, count)
    numbers.setflags(write=False)
    return {rows[place]: numbers[place] for place in np.flatnonzero(np.isfinite(numbers).all(axis=1))}


def add(connection: sqlite3.Connection, header: Header, bits: bytes, objectives: bytes) -> None:
    """Store what was measured beside a run."""
    connection.execute(
        "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)",
        (fingerprint(header.fingerprint), bits, objectives, _crc(bits, objectives)),
    )


def _crc(bits: bytes, objectives: bytes) -> int:
    return zlib.crc32(objectives, zlib.crc32(bits))
