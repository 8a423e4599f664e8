"""What can still be read of a damaged journal, in a new one."""

from __future__ import annotations

import os
import sqlite3
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nemo_lab.arguments import File
from nemo_lab.errors import NemoWarning, StorageError, shown
from nemo_lab.search import Evaluations
from nemo_lab.study.commands.species import AddSpecies
from nemo_lab.study.journal import contents, heads, rows
from nemo_lab.study.journal.files import Connection
from nemo_lab.study.journal.fresh import fresh
from nemo_lab.study.journal.lock import NOBODY
from nemo_lab.study.journal.opening import real
from nemo_lab.study.journal.records import Checkpoint, Header, Stored
from nemo_lab.study.journal.schema import connect, explained, number, read_only
from nemo_lab.study.journal.tables import FORMATS, TABLES, VERSION, selected

Row = tuple[Any, ...]
HINT = "use a backup: study.backup(path) makes one"


def salvage(path: str | os.PathLike[str], new_path: str | os.PathLike[str]) -> dict[str, int]:
    """Copy all that SQLite can still read, and that is as it was written, into a new file.

    The old file stays as it is. Each study is kept up to the first evaluation or steer that is lost, so that
    it can go on; what it evaluated after that is kept as what was measured, and is not paid again.

    Returns:
        rows copied, by table.

    Raises:
        StorageError: if nothing can be read, or the new file exists.
        ArgumentError: if one of them is not a path.

    Warns:
        NemoWarning: names studies of which the head is lost, and all with it.
    """
    source, new_path = Path(File().check("path", path)), File().check("new_path", new_path)
    with (
        fresh(real(new_path)) as place,
        explained(source, "read"),
        closing(_opened(source)) as old,
        closing(connect(place, write=True)) as new,
    ):
        copied, lost = _copy(old, new)
    if lost:
        names = ", ".join(map(shown, lost))
        warnings.warn(f"the head of study {names} is lost: it was left out", NemoWarning, stacklevel=2)
    return copied


def _opened(path: Path) -> Connection:
    if not path.is_file():
        raise StorageError(f"there is no file {str(path)!r}", "give the path of a journal")
    return read_only(real(path))


def _copy(old: Connection, new: Connection) -> tuple[dict[str, int], list[str]]:
    """Copy study by study; returns the rows by table, and the names of those that are lost."""
    try:
        tables = {name for (name,) in old.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        version = min(number(old, "user_version"), VERSION)
    except sqlite3.Error as error:
        raise StorageError(f"nothing can be read: {error}", HINT) from error
    if "studies" not in tables or version not in FORMATS:
        raise StorageError("there is no table of studies", HINT)
    source = _Source(old, version, tables)
    copied, lost, answers = dict.fromkeys(TABLES, 0), [], list(source.answers())
    with contents.transaction(new):
        for study, *row in source.studies():
            try:
                header = heads.header_of(row[:5])
                begun = contents.begin(new, header, NOBODY)
            except (StorageError, sqlite3.IntegrityError):
                lost.append(str(row[0]))
                continue
            stored, spare = source.stored(study, header, tuple(row[4:7]))
            contents.add(new, begun, stored)
            answers += [(row[1], *one) for one in spare]
            for kind, key, value in source.annotations(study, row[4] or 0):
                contents.annotate(new, begun, kind, key, value)
                copied["annotations"] += 1
            copied["studies"] += 1
            copied["evaluations"] += len(stored.evaluations)
            copied["generations"] += len(stored.history)
            copied["steers"] += len(stored.record)
            copied["checkpoints"] += stored.checkpoint is not None
        for answer in answers:
            done = new.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?)", answer)
            copied["answers"] += done.rowcount
    if not any(copied.values()):
        raise StorageError("no study and no answer of it can be read", HINT)
    return copied, lost


class _Source:
    """What a damaged file still gives: every row up to where SQLite cannot go on."""

    def __init__(self, connection: Connection, version: int, tables: set[str]) -> None:
        self._connection, self._version, self._tables = connection, version, tables

    def _rows(self, query: str, *arguments: Any) -> Iterator[Row]:
        """Rows, and an empty one where it breaks off."""
        try:
            yield from self._connection.execute(query, arguments)
        except (sqlite3.Error, ValueError, TypeError, OverflowError, MemoryError):
            yield ()

    def _numbered(self, table: str, study: int) -> Iterator[Row]:
        if table not in self._tables:
            return iter([()])
        query = f"{selected(table, self._version)} WHERE study = ? ORDER BY number"
        return self._rows(query, study)

    def studies(self) -> list[Row]:
        """Number and row of each study, from both ends to where the damage begins."""
        columns = selected("studies", self._version).removeprefix("SELECT ")
        found: dict[int, Row] = {}
        for order in ("study", "study DESC"):
            for row in self._rows(f"SELECT study, {columns} ORDER BY {order}"):
                if row:
                    found.setdefault(row[0], row)
        return [found[study] for study in sorted(found)]

    def stored(self, study: int, header: Header, said: Row) -> tuple[Stored, list[Row]]:
        """The run up to the first event that is lost; bits, objectives and check sum of what came after."""
        problem = header.problem
        nodes, objectives, mark = problem.num_nodes, len(problem.objective_names), said[0] or 0
        try:
            status, counts = heads.status_of(said[1], said[2], header, mark)
        except StorageError:
            status, counts = {}, [0, 0, 0]
        record, broken = _whole(self._numbered("steers", study), partial(rows.interventions_of, mark=mark))
        history, _ = _whole(self._numbered("generations", study), partial(rows.history_of, mark=mark))
        if "species" not in status:  # it is lost, but not who came in the middle of the run
            added = [str(one.arguments.get("name")) for one in record if one.action == AddSpecies.action]
            status = {**status, "species": list(dict.fromkeys([*header.species, *added]))}
        log: list[Evaluations] = []
        spare: list[Row] = []
        end = record[-1].evaluation if record else 0
        for row in self._numbered("evaluations", study):
            try:
                one = rows.evaluations_of([row], row[0], nodes, objectives, mark)
                rows.check(one, problem, rows.OUT)
            except (StorageError, TypeError, IndexError):
                continue
            follows = row[0] == len(log) and one.species[0] < len(status["species"])
            if follows and (len(log) < end or not (broken or len(record) < counts[2])):
                log.append(one)
            else:
                spare.append((row[1], row[2], rows.crc_of(row[1], row[2])))
        count = len(log)
        record = [one for one in record if one.evaluation <= count]
        columns = vars(rows.evaluations_of([], 0, nodes, objectives, mark))
        joined = {
            name: np.concatenate([column, *(getattr(one, name) for one in log)])
            for name, column in columns.items()
        }
        checkpoint = self._checkpoint(study, mark)
        made = 0
        if checkpoint is not None:
            made = _generations(checkpoint)
            ahead = checkpoint.evaluation > count or checkpoint.interventions > len(record)
            if ahead or not 0 <= made <= len(history):
                checkpoint, made = None, 0
        # the end of a generation comes with what is asked for next, which may be lost: it is made again
        history = [one for one in history if one.evaluations < count or one.generation < made]
        return Stored(Evaluations(**joined), tuple(history), tuple(record), checkpoint, status), spare

    def _checkpoint(self, study: int, mark: int) -> Checkpoint | None:
        if "checkpoints" not in self._tables:
            return None
        query = f"{selected('checkpoints', self._version)} WHERE study = ?"
        return heads.checkpoint_of(next(self._rows(query, study), None) or None, self._version, mark)

    def annotations(self, study: int, mark: int) -> Iterator[tuple[str, str, Any]]:
        """What was noted of a study, as far as it is whole."""
        if "annotations" in self._tables:
            query = f"{selected('annotations', self._version)} WHERE study = ?"
            yield from filter(
                None, (heads.annotation_of(row, mark) for row in self._rows(query, study) if row)
            )

    def answers(self) -> Iterator[Row]:
        """What was measured beside runs, as far as it is whole."""
        for row in self._rows("SELECT fingerprint, bits, objectives, crc FROM answers"):
            try:
                if row and rows.crc_of(*row[1:3]) == row[3] and row[0].isascii():
                    yield row
            except (TypeError, ValueError, AttributeError):
                continue


def _generations(checkpoint: Checkpoint) -> int:
    """How many had ended by a checkpoint, -1 where it does not say."""
    found = checkpoint.state.get("generation") if isinstance(checkpoint.state, Mapping) else None
    return found if type(found) is int else -1


def _whole(found: Iterator[Row], read: Callable[[list[Row], int], Any]) -> tuple[list[Any], bool]:
    """The records up to the first that is missing or damaged, and whether there is one."""
    records: list[Any] = []
    for row in found:
        try:
            records.extend(read([row], len(records)))
        except (StorageError, ValueError):
            return records, True
    return records, False
