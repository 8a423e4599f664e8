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

Change = Callable[[dict[str, Any]], None]


def rewrite_header(path: Path, change: Change) -> None:
    """Change the fields of the header of every study."""
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
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


def rewrite_status(path: Path, change: Change) -> None:
    """Change what every study says of its run; ``counts`` and ``status`` as they are in the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        for study, text in file.execute("SELECT study, status FROM studies").fetchall():
            fields = json.loads(text)
            change(fields)
            new = json.dumps(fields)
            query = "UPDATE studies SET status = ?, status_crc = ? WHERE study = ?"
            file.execute(query, (new, crc_of(new), study))


def execute(path: Path, query: str, *arguments: Any) -> list[Any]:
    """Run one statement on a file, and let go of it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        return file.execute(query, arguments).fetchall()
