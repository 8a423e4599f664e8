"""What the studies of a file measured of the same workload and data by the same settings."""

from __future__ import annotations

import contextlib
import sqlite3
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.study.journal.contents import mark_of, version_of
from nemo_lab.study.journal.heads import fingerprint_text
from nemo_lab.study.journal.records import Header
from nemo_lab.study.journal.rows import crc_of, evaluation_crc
from nemo_lab.study.journal.tables import selected

Floats = NDArray[np.float64]
NO_BYTES = (TypeError, ValueError, struct.error)  # what a check sum says to anything but bytes and numbers


class Known:
    """Objectives by configuration, looked up when they are needed: others may have measured meanwhile.

    What is damaged is not known, and measured again.

    Args:
        connection: to a file.
        header: of a study in it.
        others: further forms of the study's fingerprint: versions of nemo_lab write different ones.
    """

    def __init__(
        self, connection: sqlite3.Connection, header: Header, others: Sequence[Mapping[str, str]] = ()
    ) -> None:
        self._connection = connection
        self._forms = sorted({fingerprint_text(one) for one in (header.fingerprint, *others)})
        self._nodes, self._count = header.problem.num_nodes, len(header.problem.objective_names)
        self._measured: dict[bytes, bytes] = {}
        self._read: dict[int, int] = {}  # study -> how many of its evaluations were read
        self._seen = -1

    def get(self, bits: bytes) -> Floats | None:
        """Objectives float64[K] of uint8[Q], None if nobody measured them."""
        if bits not in self._measured:
            self._catch_up()
        if bits not in self._measured:
            self._ask(bits)
        found = self._measured.get(bits)
        if found is None:
            return None
        objectives = np.frombuffer(found, dtype="<f8").astype(np.float64)
        objectives.setflags(write=False)
        return objectives

    def _catch_up(self) -> None:
        """Read the evaluations that came since the last time."""
        version = self._connection.execute("PRAGMA data_version").fetchone()[0]
        if version == self._seen and self._read:
            return
        marks = ", ".join("?" * len(self._forms))
        query = f"SELECT study FROM studies WHERE fingerprint IN ({marks})"  # noqa: S608
        columns = selected("evaluations", version_of(self._connection))
        for (study,) in self._connection.execute(query, self._forms).fetchall():
            start, mark = self._read.get(study, 0), mark_of(self._connection, study)
            new = self._connection.execute(
                f"{columns} WHERE study = ? AND number >= ? ORDER BY number", (study, start)
            )
            for number, bits, objectives, *rest, crc in new:
                self._read[study] = number + 1
                with contextlib.suppress(*NO_BYTES):
                    if evaluation_crc(number, bits, objectives, rest, mark) == crc:
                        self._take(bits, objectives)
            self._read.setdefault(study, 0)
        self._seen = version

    def _ask(self, bits: bytes) -> None:
        """Look for what was measured beside a run."""
        for form in self._forms:
            with contextlib.suppress(
                sqlite3.OperationalError, *NO_BYTES
            ):  # no such table in the first format
                for found in self._answers(form, bits):
                    objectives, crc = found
                    if crc_of(bits, objectives) == crc:
                        self._take(bits, objectives)

    def _answers(self, form: str, bits: bytes) -> Iterable[Any]:
        query = "SELECT objectives, crc FROM answers WHERE fingerprint = ? AND bits = ?"
        return self._connection.execute(query, (form, bits)).fetchall()

    def _take(self, bits: bytes, objectives: bytes) -> None:
        fits = len(bits) == self._nodes and len(objectives) == 8 * self._count
        if fits and np.isfinite(np.frombuffer(objectives, dtype="<f8")).all():
            self._measured.setdefault(bits, objectives)


def add(connection: sqlite3.Connection, header: Header, bits: bytes, objectives: bytes) -> None:
    """Store what was measured beside a run."""
    connection.execute(
        "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)",
        (fingerprint_text(header.fingerprint), bits, objectives, crc_of(bits, objectives)),
    )
