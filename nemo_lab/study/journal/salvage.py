"""What can still be read of a damaged journal, in a new one."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nemo_lab.errors import StorageError
from nemo_lab.study.journal import rows
from nemo_lab.study.journal.schema import TABLES, connect

KEYS = {"studies": "study", "checkpoints": "study", "answers": "fingerprint, bits"}


def salvage(path: str | os.PathLike[str], new_path: str | os.PathLike[str]) -> dict[str, int]:
    """Copy every row that SQLite can still read into a new file; the old one stays as it is.

    Of each study the evaluations up to the first that is lost are kept, and what belongs to them.

    Returns:
        rows copied, by table.

    Raises:
        StorageError: if nothing can be read, or the new file exists.
    """
    if Path(new_path).exists():
        raise StorageError(f"{str(new_path)!r} exists already", "give a new path")
    try:
        old = sqlite3.connect(Path(path).absolute().as_uri() + "?mode=ro", uri=True, isolation_level=None)
        old.execute("PRAGMA trusted_schema=OFF")
        old.execute("PRAGMA cell_size_check=ON")
        names = {name for (name,) in old.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.DatabaseError as error:
        raise StorageError(f"nothing of {str(path)!r} can be read: {error}", "use a backup") from error
    new = connect(Path(new_path), write=True)
    copied = {}
    try:
        for table in TABLES:
            count = len(new.execute(f"PRAGMA table_info({table})").fetchall())
            marks = ", ".join("?" * count)
            copied[table] = 0
            new.execute("BEGIN")
            for row in _readable(old, table) if table in names else ():
                if len(row) == count:
                    done = new.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)  # noqa: S608
                    copied[table] += done.rowcount
            new.execute("COMMIT")
        _trim(new)
    finally:
        old.close()
        new.close()
    return copied


def _readable(connection: sqlite3.Connection, table: str) -> Iterator[tuple[Any, ...]]:
    """Rows from both ends to where the damage begins."""
    key = KEYS.get(table, "study, number")
    for order in (key, ", ".join(f"{part} DESC" for part in key.split(", "))):
        cursor = connection.execute(f"SELECT * FROM {table} ORDER BY {order}")  # noqa: S608
        while True:
            try:
                row = cursor.fetchone()
            except sqlite3.DatabaseError:
                break
            if row is None:
                return
            yield row


def _trim(connection: sqlite3.Connection) -> None:
    """Leave out what is damaged, and what comes after it."""
    for (study,) in connection.execute("SELECT study FROM studies").fetchall():
        evaluations = _whole(
            connection, study, "number, bits, objectives, species, origin, generation, crc", "evaluations"
        )
        count = len(evaluations)
        record = _whole(
            connection, study, "number, evaluation, action, detail, arguments, arrays, crc", "steers"
        )
        generations = _whole(connection, study, "number, record, crc", "generations")
        record = [one for one in record if one.evaluation <= count]
        generations = [one for one in generations if one.evaluations <= count]
        for query, kept in (
            ("DELETE FROM evaluations WHERE study = ? AND number >= ?", count),
            ("DELETE FROM steers WHERE study = ? AND number >= ?", len(record)),
            ("DELETE FROM generations WHERE study = ? AND number >= ?", len(generations)),
            ("DELETE FROM checkpoints WHERE study = ? AND evaluation > ?", count),
        ):
            connection.execute(query, (study, kept))
        (text,) = connection.execute("SELECT status FROM studies WHERE study = ?", (study,)).fetchone()
        found = {**rows.object_of(text), "counts": [count, len(generations), len(record)]}
        connection.execute("UPDATE studies SET status = ? WHERE study = ?", (json.dumps(found), study))


def _whole(connection: sqlite3.Connection, study: int, columns: str, table: str) -> list[Any]:
    """The records up to the first that is missing or damaged."""
    found: list[Any] = []
    query = f"SELECT {columns} FROM {table} WHERE study = ? ORDER BY number"  # noqa: S608
    for row in connection.execute(query, (study,)):
        try:
            if table == "evaluations":
                found.append(rows.evaluations_of([row], len(found), len(row[1]), len(row[2]) // 8))
            else:
                read = rows.interventions_of if table == "steers" else rows.history_of
                found.extend(read([row], len(found)))
        except (StorageError, TypeError):
            break
    return found
