"""Journals as somebody else might have written them: other contents, and the check sums of those."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from nemo_lab.study.journal.heads import fingerprint_text
from nemo_lab.study.journal.packing import pack, unpack
from nemo_lab.study.journal.rows import crc_of
from nemo_lab.study.journal.tables import selected

Change = Callable[[dict[str, Any]], None]


def rewrite_header(path: Path, change: Change) -> None:
    """Change the fields of the header of every study, in one write: each waits for the disk."""
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("BEGIN")
        for study, text, blob in file.execute("SELECT study, header, arrays FROM studies").fetchall():
            fields = unpack(text, blob)
            change(fields)
            header, arrays = pack(fields)
            name, fingerprint = str(fields.get("name")), fields.get("fingerprint")
            digests = fingerprint_text(fingerprint) if isinstance(fingerprint, dict) else "{}"
            crc = crc_of(name, digests, header, arrays)
            file.execute(
                "UPDATE studies SET name = ?, fingerprint = ?, header = ?, arrays = ?, crc = ? "
                "WHERE study = ?",
                (name, digests, header, arrays, crc, study),
            )
            _mark(file, study, crc)
        file.execute("COMMIT")


def _mark(file: sqlite3.Connection, study: int, mark: int) -> None:
    """Give the rows of a study the check sums that they have under another head."""
    (status,) = file.execute("SELECT status FROM studies WHERE study = ?", (study,)).fetchone()
    file.execute("UPDATE studies SET status_crc = ? WHERE study = ?", (crc_of(status, mark=mark), study))
    for table, numbers in (("evaluations", (0, 3, 4, 5, 6, 7)), ("generations", ()), ("checkpoints", (0, 1))):
        for row in file.execute(f"{selected(table, 3)} WHERE study = ?", (study,)).fetchall():
            parts = [part for part in row[:-1] if isinstance(part, str | bytes)]
            crc = crc_of(*parts, numbers=[row[place] for place in numbers], mark=mark)
            file.execute(f"UPDATE {table} SET crc = ? WHERE study = ? AND crc = ?", (crc, study, row[-1]))
    for number, evaluation, asks, action, detail, text, blob, _ in file.execute(
        f"{selected('steers', 3)} WHERE study = ?", (study,)
    ).fetchall():
        crc = crc_of(blob, action, detail, text, numbers=(evaluation, asks), mark=mark)
        file.execute("UPDATE steers SET crc = ? WHERE study = ? AND number = ?", (crc, study, number))


def rewrite_status(path: Path, change: Change) -> None:
    """Change what every study says of its run; ``counts`` and ``status`` as they are in the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        for study, text, mark in file.execute("SELECT study, status, crc FROM studies").fetchall():
            fields = json.loads(text)
            change(fields)
            new = json.dumps(fields)
            query = "UPDATE studies SET status = ?, status_crc = ? WHERE study = ?"
            file.execute(query, (new, crc_of(new, mark=mark), study))


def execute(path: Path, query: str, *arguments: Any) -> list[Any]:
    """Run one statement on a file, and let go of it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        return file.execute(query, arguments).fetchall()
