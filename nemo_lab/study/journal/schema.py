"""The tables of a journal, and how a file is opened: what is not exactly ours is refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nemo_lab.errors import StorageError

APPLICATION = 0x6E656D6F  # "nemo"
VERSION = 2

TABLES = {
    "studies": """CREATE TABLE studies (
        study INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, fingerprint TEXT NOT NULL,
        header TEXT NOT NULL, arrays BLOB NOT NULL, status TEXT NOT NULL, writer TEXT NOT NULL)""",
    "evaluations": """CREATE TABLE evaluations (
        study INTEGER NOT NULL, number INTEGER NOT NULL, bits BLOB NOT NULL, objectives BLOB NOT NULL,
        species INTEGER NOT NULL, origin INTEGER NOT NULL, generation INTEGER NOT NULL, crc INTEGER NOT NULL,
        PRIMARY KEY (study, number)) WITHOUT ROWID""",
    "generations": """CREATE TABLE generations (
        study INTEGER NOT NULL, number INTEGER NOT NULL, record TEXT NOT NULL, crc INTEGER NOT NULL,
        PRIMARY KEY (study, number)) WITHOUT ROWID""",
    "steers": """CREATE TABLE steers (
        study INTEGER NOT NULL, number INTEGER NOT NULL, evaluation INTEGER NOT NULL, action TEXT NOT NULL,
        detail TEXT NOT NULL, arguments TEXT NOT NULL, arrays BLOB NOT NULL, crc INTEGER NOT NULL,
        PRIMARY KEY (study, number)) WITHOUT ROWID""",
    "checkpoints": """CREATE TABLE checkpoints (
        study INTEGER PRIMARY KEY, evaluation INTEGER NOT NULL, steers INTEGER NOT NULL,
        state TEXT NOT NULL, arrays BLOB NOT NULL, crc INTEGER NOT NULL)""",
    "answers": """CREATE TABLE answers (
        fingerprint TEXT NOT NULL, bits BLOB NOT NULL, objectives BLOB NOT NULL, crc INTEGER NOT NULL,
        PRIMARY KEY (fingerprint, bits)) WITHOUT ROWID""",
}
SINCE = {"answers": 2}  # the format that brought a table, where it is not the first


@contextmanager
def explained(path: Path, doing: str) -> Iterator[None]:
    """Turn what SQLite and the system say into a StorageError that names the way out."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        text = str(error)
        if "readonly" in text or "read-only" in text:
            hint = "make the file and its folder writable, or load_study(..., read_only=True)"
        elif "full" in text:
            hint = "make room on the disk and start again: what is not stored yet is kept in memory"
        elif "closed" in text:
            hint = "load_study(path) opens it again"
        elif "locked" in text or "busy" in text:
            hint = "another program holds the file for long; close it and try again"
        elif "unable to open" in text:
            hint = "check that the folder exists and may be written to"
        elif "malformed" in text or "corrupt" in text or "not a database" in text:
            hint = "nemo_lab.study.salvage(path, new_path) copies all that can be read"
        else:
            hint = "check the disk and the file"
        raise StorageError(f"cannot {doing} {str(path)!r}: {text}", hint) from error
    except OSError as error:
        raise StorageError(f"cannot {doing} {str(path)!r}: {error}", "check the path and the disk") from error


def connect(path: Path, *, write: bool) -> sqlite3.Connection:
    """A connection to a journal; a new or empty file gets the tables if it may be written to.

    Raises:
        StorageError: if the file is missing, no journal, or of a newer version.
    """
    if path.is_dir():
        raise StorageError(f"{str(path)!r} is a folder", "give a file, such as run.sqlite")
    if not write and not path.exists():
        raise StorageError(f"there is no file {str(path)!r}", "create_study(..., storage=path) makes one")
    if not path.parent.is_dir():
        raise StorageError(f"there is no folder {str(path.parent)!r}", "make it first")
    with explained(path, "open"):
        if write:
            connection = _open(path.absolute().as_uri() + "?mode=rwc")
            try:
                _prepare(connection, path)
            except BaseException:
                connection.close()
                raise
            return connection
        for options in ("?mode=ro", "?mode=ro&immutable=1"):  # the last where no -shm file can be made
            connection = _open(path.absolute().as_uri() + options)
            try:
                _check(connection, path)
                return connection
            except sqlite3.OperationalError as error:
                connection.close()
                if "immutable" in options or "unable to open" not in str(error):
                    raise
            except BaseException:
                connection.close()
                raise
        raise AssertionError("unreachable")


def _open(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA trusted_schema=OFF")
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Give a new file its tables, and an older one those it lacks."""
    if not _is_new(connection):
        _check(connection, path)
    if _number(connection, "user_version") < VERSION:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = 0
            if not _is_new(connection):  # another process may have been quicker
                _check(connection, path)
                version = _number(connection, "user_version")
            for name, table in TABLES.items():
                if version < SINCE.get(name, 1):
                    connection.execute(table)
            connection.execute(f"PRAGMA application_id={APPLICATION}")
            connection.execute(f"PRAGMA user_version={VERSION}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    _check(connection, path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def _is_new(connection: sqlite3.Connection) -> bool:
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return not tables and _number(connection, "application_id") in (0, APPLICATION)


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a file whose tables are not ours to the letter: no trigger and no view ever runs."""
    if _number(connection, "application_id") != APPLICATION:
        raise StorageError(f"{str(path)!r} is not a journal of nemo_lab", "give another path")
    version = _number(connection, "user_version")
    if version > VERSION:
        raise StorageError(
            f"{str(path)!r} has format {version}, this nemo_lab knows up to {VERSION}", "upgrade nemo_lab"
        )
    found = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
    ours = {("table", name): _squeezed(sql) for name, sql in TABLES.items() if SINCE.get(name, 1) <= version}
    theirs = {(kind, name): _squeezed(sql) for kind, name, sql in found if sql is not None}
    if version < 1 or theirs != ours:
        raise StorageError(f"the tables of {str(path)!r} are not those of a journal", "give another path")


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])


def _squeezed(sql: str) -> str:
    return " ".join(str(sql).split())
