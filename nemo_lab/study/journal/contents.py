"""What a study's tables hold, written and read as a whole."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from nemo_lab.study.journal import heads, rows
from nemo_lab.study.journal.records import Header, Stored
from nemo_lab.study.journal.tables import VERSION, selected

KNOWN = """SELECT
(SELECT ifnull(max(number) + 1, 0) FROM evaluations WHERE study = :study),
(SELECT ifnull(max(number) + 1, 0) FROM generations WHERE study = :study),
(SELECT ifnull(max(number) + 1, 0) FROM steers WHERE study = :study),
(SELECT crc FROM studies WHERE study = :study)"""
Annotations = Mapping[str, Mapping[str, Any]]  # kind -> key -> value


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is written in the body, or nothing of it."""
    if connection.in_transaction:  # somebody was interrupted between two lines of this
        connection.execute("ROLLBACK")
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def moment(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is read in the body is of one moment."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")


def begin(connection: sqlite3.Connection, header: Header, writer: str) -> int:
    """Add a study without content, in a transaction of the caller's, and note who writes it; its number."""
    *head, mark = heads.header_row(header)
    done = connection.execute(
        "INSERT INTO studies (name, fingerprint, header, arrays, crc, status, status_crc, writer) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (*head, mark, *heads.status_row({}, (0, 0, 0), mark), writer),
    )
    return int(done.lastrowid or 0)


def add(connection: sqlite3.Connection, study: int, new: Stored) -> list[int]:
    """Store what is new, in a transaction of the caller's; a checkpoint replaces the one before.

    Args:
        connection: to the journal.
        study: number of the study.
        new: all there is.

    Returns:
        how many evaluations, generations and interventions are stored now.
    """
    # asked of the file: whoever was interrupted in the moment of a commit does not know whether it was made
    *known, mark = connection.execute(KNOWN, {"study": study}).fetchone()
    counts = [len(new.evaluations), len(new.history), len(new.record)]
    connection.executemany(
        f"INSERT INTO evaluations VALUES ({_marks(10)})",  # noqa: S608
        rows.evaluation_rows(study, new.evaluations, known[0], mark),
    )
    if counts[1] > known[1]:
        made = rows.generation_rows(study, new.history, known[1], mark)
        connection.executemany(f"INSERT INTO generations VALUES ({_marks(4)})", made)  # noqa: S608
    if counts[2] > known[2]:
        taken = rows.intervention_rows(study, new.record, known[2], mark)
        connection.executemany(f"INSERT INTO steers VALUES ({_marks(9)})", taken)  # noqa: S608
    if new.checkpoint is not None:
        row = study, *heads.checkpoint_row(new.checkpoint, mark)
        # deleted first, so that the new one takes its room in the file
        connection.execute("DELETE FROM checkpoints WHERE study = ?", (study,))
        connection.execute(f"INSERT INTO checkpoints VALUES ({_marks(6)})", row)  # noqa: S608
    connection.execute(
        "UPDATE studies SET status = ?, status_crc = ? WHERE study = ?",
        (*heads.status_row(new.status, counts, mark), study),
    )
    return counts


def annotate(connection: sqlite3.Connection, study: int, kind: str, key: str, value: Any) -> None:
    """Store a note in place of the one before, or take it away where the value is None."""
    if value is None:
        query = "DELETE FROM annotations WHERE study = ? AND kind = ? AND key = ?"
        connection.execute(query, (study, kind, key))
        return
    row = study, *heads.annotation_row(kind, key, value, mark_of(connection, study))
    connection.execute(f"INSERT OR REPLACE INTO annotations VALUES ({_marks(6)})", row)  # noqa: S608


def _marks(count: int) -> str:
    return ", ".join("?" * count)


def version_of(connection: sqlite3.Connection) -> int:
    """The format of the file at this moment: a writer may have brought it to ours meanwhile."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def names(connection: sqlite3.Connection) -> dict[str, int]:
    """The studies of a file by name, the oldest first."""
    found = connection.execute("SELECT name, study FROM studies ORDER BY study")
    return {str(name): study for name, study in found}  # in a damaged file a name may be no text


def header(connection: sqlite3.Connection, study: int) -> Header:
    """What the study is.

    Raises:
        StorageError: if nemo_lab cannot have written it.
    """
    return heads.header_of(_study_row(connection, study)[:5])


def status(connection: sqlite3.Connection, study: int, header: Header) -> tuple[Mapping[str, Any], list[int]]:
    """How it stands, and how many evaluations, generations and interventions are stored.

    Raises:
        StorageError: if nemo_lab cannot have written it.
    """
    mark, text, crc = _study_row(connection, study)[4:7]
    return heads.status_of(text, crc, header, mark or 0)


def mark_of(connection: sqlite3.Connection, study: int) -> int:
    """What marks the rows of a study; see ``rows.crc_of``."""
    mark = _study_row(connection, study)[4]
    return mark if type(mark) is int else 0


def _study_row(connection: sqlite3.Connection, study: int) -> Sequence[Any]:
    query = selected("studies", version_of(connection)) + " WHERE study = ?"
    row: Sequence[Any] | None = connection.execute(query, (study,)).fetchone()
    if row is None:
        raise rows.damaged("the row of a study")
    return row


def notes(connection: sqlite3.Connection, study: int) -> dict[str, dict[str, Any]]:
    """What was noted, by kind and key; what is damaged is left out."""
    version = version_of(connection)
    if version < VERSION:
        return {}
    found: dict[str, dict[str, Any]] = {}
    mark = mark_of(connection, study)
    query = selected("annotations", version) + " WHERE study = ? ORDER BY kind, key"
    for row in connection.execute(query, (study,)):
        note = heads.annotation_of(row, mark)
        if note is not None:
            kind, key, value = note
            found.setdefault(kind, {})[key] = value
    return found


def read(
    connection: sqlite3.Connection, study: int, header: Header, old: Stored | None, *, state: bool
) -> Stored:
    """Everything stored, given what was read before; ``state`` says whether the engine's is wanted, too.

    Raises:
        StorageError: if a part of it is damaged.
    """
    version, mark = version_of(connection), mark_of(connection, study)

    def after(table: str, count: int) -> list[Any]:
        query = selected(table, version) + " WHERE study = ? AND number >= ? ORDER BY number"
        return connection.execute(query, (study, count)).fetchall()

    had = (0, 0, 0) if old is None else (len(old.evaluations), len(old.history), len(old.record))
    problem = header.problem
    evaluations = rows.evaluations_of(
        after("evaluations", had[0]), had[0], problem.num_nodes, len(problem.objective_names), mark
    )
    history = rows.history_of(after("generations", had[1]), had[1], mark)
    record = rows.interventions_of(after("steers", had[2]), had[2], mark)
    if old is not None:
        evaluations = rows.joined(old.evaluations, evaluations) if len(evaluations) else old.evaluations
        history, record = (*old.history, *history), (*old.record, *record)
    found, counts = status(connection, study, header)
    rows.check(evaluations, problem, len(found.get("species", header.species)))
    if [len(evaluations), len(history), len(record)] != counts:  # SQLite may pass over a damaged page
        raise rows.damaged("a page")
    if record and record[-1].evaluation > len(evaluations):
        raise rows.damaged(f"intervention {len(record) - 1}")
    checkpoint = None
    if state:
        query = selected("checkpoints", version) + " WHERE study = ?"
        checkpoint = heads.checkpoint_of(connection.execute(query, (study,)).fetchone(), version, mark)
    return Stored(evaluations, tuple(history), tuple(record), checkpoint, found)
