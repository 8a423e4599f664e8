"""From an older format to the one that is written: in one transaction, when a file is opened for writing."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from nemo_lab.errors import StorageError
from nemo_lab.study.journal.rows import crc_of, evaluation_crc
from nemo_lab.study.journal.tables import TABLES, selected

WRONG = -1  # no check sum is below 0: a row that was damaged stays so

Row = tuple[Any, ...]


def migrate(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """Bring the tables of a file to the format that is written, in a transaction of the caller's.

    Raises:
        StorageError: if an earlier nemo_lab writes a study of the file at this moment.
    """
    _refuse_while_written(connection, path)
    for table, converted in CONVERTED.items():
        old = f"former_{table}"
        connection.execute(f"ALTER TABLE {table} RENAME TO {old}")
        connection.execute(TABLES[table])
        marks = ", ".join("?" * len(connection.execute(f"PRAGMA table_info({table})").fetchall()))
        columns = selected(table, version).removeprefix("SELECT ").removesuffix(f" FROM {table}")
        found = connection.execute(f"SELECT study, {columns} FROM {old}")  # noqa: S608
        connection.executemany(f"INSERT INTO {table} VALUES ({marks})", map(converted, found))  # noqa: S608
        connection.execute(f"DROP TABLE {old}")
    for table, text in TABLES.items():
        if table == "annotations" or (table == "answers" and version < 2):
            connection.execute(text)


def _refuse_while_written(connection: sqlite3.Connection, path: Path) -> None:
    """Earlier versions know only the lock beside the file, and cannot go on in a file of our format."""
    for (study,) in connection.execute("SELECT study FROM studies").fetchall():
        place = path.with_name(f"{path.name}-study{study}.lock")
        if not place.exists():
            continue
        try:
            with FileLock(place, timeout=0):
                continue
        except Timeout as error:
            raise StorageError(
                f"an earlier nemo_lab writes a study of {str(path)!r}",
                "close it there first, or watch it by load_study(path, read_only=True)",
            ) from error


def _checked(crc: Callable[[], int], stored: Any, new: Callable[[], int]) -> int:
    """The new check sum of a row whose old one was right."""
    try:
        return new() if crc() == stored else WRONG
    except (TypeError, ValueError, AttributeError, struct.error):
        return WRONG


def _study(row: Sequence[Any]) -> Row:
    study, name, fingerprint, header, arrays, _, status, _, writer = row
    head = _checked(int, 0, lambda: crc_of(name, fingerprint, header, arrays))
    return (
        study,
        name,
        fingerprint,
        header,
        arrays,
        head,
        status,
        _checked(int, 0, lambda: crc_of(status)),
        writer,
    )


def _evaluation(row: Sequence[Any]) -> Row:
    study, number, bits, objectives, *rest, _, _, crc = row
    others = (*rest, 1, 0)
    new = _checked(
        lambda: evaluation_crc(number, bits, objectives, rest),
        crc,
        lambda: evaluation_crc(number, bits, objectives, others),
    )
    return study, number, bits, objectives, *others, new


def _steer(row: Sequence[Any]) -> Row:
    study, number, evaluation, _, action, detail, arguments, arrays, crc = row
    parts = arrays, action, detail, arguments
    new = _checked(lambda: crc_of(*parts), crc, lambda: crc_of(*parts, numbers=(evaluation, 0)))
    return study, number, evaluation, 0, action, detail, arguments, arrays, new


def _checkpoint(row: Sequence[Any]) -> Row:
    study, evaluation, steers, state, arrays, crc = row
    at = evaluation, steers
    new = _checked(lambda: crc_of(state, arrays), crc, lambda: crc_of(state, arrays, numbers=at))
    return study, *at, state, arrays, new


CONVERTED: dict[str, Callable[[Sequence[Any]], Row]] = {
    "studies": _study,
    "evaluations": _evaluation,
    "steers": _steer,
    "checkpoints": _checkpoint,
}
