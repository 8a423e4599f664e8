"""What a study's tables hold, written and read as a whole."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Sequence
from typing import Any

from nemo_lab.study.journal import rows
from nemo_lab.study.journal.packing import pack, unpack
from nemo_lab.study.journal.records import Checkpoint, Header, Stored


def write(connection: sqlite3.Connection, study: int, new: Stored, known: Sequence[int]) -> list[int]:
    """Store what is new of all there is, in one transaction; a checkpoint replaces the one before.

    Args:
        connection: to the journal.
        study: number of the study.
        new: all there is.
        known: evaluations, generations and interventions that are stored already.

    Returns:
        the same counts afterwards.
    """
    counts = [len(new.evaluations), len(new.history), len(new.record)]
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.executemany(
            "INSERT INTO evaluations VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            rows.evaluation_rows(study, new.evaluations, known[0]),
        )
        if counts[1] > known[1]:
            connection.executemany(
                "INSERT INTO generations VALUES (?, ?, ?, ?)",
                rows.generation_rows(study, new.history, known[1]),
            )
        if counts[2] > known[2]:
            connection.executemany(
                "INSERT INTO steers VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                rows.intervention_rows(study, new.record, known[2]),
            )
        if new.checkpoint is not None:
            connection.execute(
                "DELETE FROM checkpoints WHERE study = ?", (study,)
            )  # the new one has its pages
            connection.execute(
                "INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?, ?)", _row(study, new.checkpoint)
            )
        text = json.dumps({"counts": counts, "status": dict(new.status)})
        connection.execute("UPDATE studies SET status = ? WHERE study = ?", (text, study))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return counts


def read(
    connection: sqlite3.Connection, study: int, header: Header, old: Stored | None, *, state: bool
) -> Stored:
    """Everything stored, given what was read before; ``state`` says whether the engine's is wanted, too.

    Raises:
        StorageError: if a part of it is damaged.
    """
    had = (0, 0, 0) if old is None else (len(old.evaluations), len(old.history), len(old.record))
    after = [(study, count) for count in had]
    evaluations = rows.evaluations_of(
        connection.execute(
            "SELECT number, bits, objectives, species, origin, generation, crc FROM evaluations "
            "WHERE study = ? AND number >= ? ORDER BY number",
            after[0],
        ).fetchall(),
        had[0],
        header.problem.num_nodes,
        len(header.problem.objective_names),
    )
    history = rows.history_of(
        connection.execute(
            "SELECT number, record, crc FROM generations WHERE study = ? AND number >= ? ORDER BY number",
            after[1],
        ),
        had[1],
    )
    record = rows.interventions_of(
        connection.execute(
            "SELECT number, evaluation, action, detail, arguments, arrays, crc FROM steers "
            "WHERE study = ? AND number >= ? ORDER BY number",
            after[2],
        ),
        had[2],
    )
    if old is not None:
        evaluations = rows.joined(old.evaluations, evaluations) if len(evaluations) else old.evaluations
        history, record = (*old.history, *history), (*old.record, *record)
    query = "SELECT status FROM studies WHERE study = ?"
    status, counts = rows.status_of(connection.execute(query, (study,)).fetchone()[0])
    names = status.get("species", header.species)
    rows.check(evaluations, header.problem, max(len(names), len(header.species)))
    if [len(evaluations), len(history), len(record)] != counts:  # SQLite may pass over a damaged page
        raise rows.damaged("a page")
    checkpoint = _checkpoint(connection, study) if state else None
    return Stored(evaluations, tuple(history), tuple(record), checkpoint, status)


def _row(study: int, checkpoint: Checkpoint) -> tuple[Any, ...]:
    text, blob = pack(checkpoint.state)
    crc = zlib.crc32(blob, zlib.crc32(text.encode()))
    return study, checkpoint.evaluation, checkpoint.interventions, text, blob, crc


def _checkpoint(connection: sqlite3.Connection, study: int) -> Checkpoint | None:
    """None where there is none, or it is damaged: a run can do without."""
    query = "SELECT evaluation, steers, state, arrays, crc FROM checkpoints WHERE study = ?"
    row = connection.execute(query, (study,)).fetchone()
    if row is None:
        return None
    evaluation, interventions, text, blob, crc = row
    if zlib.crc32(blob, zlib.crc32(text.encode())) != crc:
        return None
    return Checkpoint(evaluation, interventions, unpack(text, blob))
