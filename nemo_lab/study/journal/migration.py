"""From an older format to the one that is written: in one transaction with what is first written of ours."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from nemo_lab.errors import StorageError
from nemo_lab.study.journal.rows import crc_of, evaluation_crc
from nemo_lab.study.journal.tables import TABLES, VERSION, selected

WRONG = -1  # no check sum is below 0: a row that was damaged stays so

Row = tuple[Any, ...]


def bring_up(connection: sqlite3.Connection, path: Path, mine: int | None = None) -> None:
    """Bring a file to the format that is written, in a transaction of the caller's.

    Args:
        connection: to the file.
        path: of it.
        mine: number of a study that the caller has the right to write.

    Raises:
        StorageError: if an earlier nemo_lab writes a study of the file at this moment.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == VERSION:
        return
    _refuse_while_written(connection, path, mine)
    marks: dict[int, int] = {}
    for table, converted in CONVERTED.items():
        old = f"former_{table}"
        connection.execute(f"ALTER TABLE {table} RENAME TO {old}")
        connection.execute(TABLES[table])
        places = ", ".join("?" * len(connection.execute(f"PRAGMA table_info({table})").fetchall()))
        columns = selected(table, version).removeprefix("SELECT ").removesuffix(f" FROM {table}")
        found = connection.execute(f"SELECT study, {columns} FROM {old}")  # noqa: S608
        for row in found:
            new = converted(row, marks.get(row[0], 0))
            if table == "studies":
                marks[row[0]] = new[5]
            connection.execute(f"INSERT INTO {table} VALUES ({places})", new)  # noqa: S608
        connection.execute(f"DROP TABLE {old}")
    for table, text in TABLES.items():
        if table == "annotations" or (table == "answers" and version < 2):
            connection.execute(text)
    connection.execute(f"PRAGMA user_version={VERSION}")


def _refuse_while_written(connection: sqlite3.Connection, path: Path, mine: int | None) -> None:
    """Earlier versions know only the lock beside the file, and cannot go on in a file of our format."""
    for (study,) in connection.execute("SELECT study FROM studies").fetchall():
        place = path.with_name(f"{path.name}-study{study}.lock")
        if study == mine or not place.exists():
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


def _study(row: Sequence[Any], _: int) -> Row:
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
        _checked(int, 0, lambda: crc_of(status, mark=head)),
        writer,
    )


def _evaluation(row: Sequence[Any], mark: int) -> Row:
    study, number, bits, objectives, *rest, _, _, crc = row
    others = (*rest, 1, 0)
    new = _checked(
        lambda: evaluation_crc(number, bits, objectives, rest, 0),
        crc,
        lambda: evaluation_crc(number, bits, objectives, others, mark),
    )
    return study, number, bits, objectives, *others, new


def _steer(row: Sequence[Any], mark: int) -> Row:
    study, number, evaluation, _, action, detail, arguments, arrays, crc = row
    parts = arrays, action, detail, arguments
    new = _checked(lambda: crc_of(*parts), crc, lambda: crc_of(*parts, numbers=(evaluation, 0), mark=mark))
    return study, number, evaluation, 0, action, detail, arguments, arrays, new


def _checkpoint(row: Sequence[Any], mark: int) -> Row:
    study, evaluation, steers, state, arrays, crc = row
    at = evaluation, steers
    new = _checked(lambda: crc_of(state, arrays), crc, lambda: crc_of(state, arrays, numbers=at, mark=mark))
    return study, *at, state, arrays, new


def _generation(row: Sequence[Any], mark: int) -> Row:
    study, number, record, crc = row
    return study, number, record, _checked(lambda: crc_of(record), crc, lambda: crc_of(record, mark=mark))


CONVERTED: dict[str, Callable[[Sequence[Any], int], Row]] = {
    "studies": _study,
    "evaluations": _evaluation,
    "generations": _generation,
    "steers": _steer,
    "checkpoints": _checkpoint,
}
