"""How a journal is opened: what is not exactly ours is refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nemo_lab.errors import NemoError, StorageError
from nemo_lab.study.journal.files import Connection
from nemo_lab.study.journal.tables import FORMATS, TABLES, VERSION

APPLICATION = 0x6E656D6F  # "nemo"
KEPT = "everything is still in memory: start() tries again, study.save_as(path) keeps it in another file"


@contextmanager
def explained(path: Path, doing: str) -> Iterator[None]:
    """Turn what SQLite and the system say into a StorageError that names the way out."""
    try:
        yield
    except NemoError:
        raise
    except sqlite3.Error as error:
        text = str(error)
        if "readonly" in text or "read-only" in text:
            hint = "make the file and its folder writable, or load_study(..., read_only=True)"
        elif "full" in text:
            hint = "make room on the disk and start again"
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
        if doing == "write" and "closed" not in text:
            hint = f"{hint}; {KEPT}"
        raise StorageError(f"cannot {doing} {str(path)!r}: {text}", hint) from error
    except OSError as error:
        raise StorageError(f"cannot {doing} {str(path)!r}: {error}", "check the path and the disk") from error
    except (ValueError, TypeError, OverflowError, MemoryError) as error:
        if doing == "write":
            raise
        raise StorageError(  # a damaged file may say anything
            f"cannot {doing} {str(path)!r}: {error}",
            "nemo_lab.study.salvage(path, new_path) copies all that can be read",
        ) from error


def connect(path: Path, *, write: bool) -> Connection:
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
            return _checked(Connection.to(path, "rwc"), path, write=True)
        return _checked(read_only(path), path, write=False)


def read_only(path: Path) -> Connection:
    """A connection that writes nothing, to whatever is there.

    Raises:
        StorageError: if a part of it cannot be read from here.
        OSError, sqlite3.Error: if it cannot be read at all.
    """
    connection = Connection.to(path, "ro")
    try:
        number(connection, "schema_version")
        return connection
    except sqlite3.OperationalError:  # no -shm can be made beside it: no right to, or a disk that is read
        connection.close()
        latest = path.with_name(f"{path.name}-wal")
        if latest.exists() and latest.stat().st_size:
            raise StorageError(
                f"what was written last lies in {str(latest)!r}, which cannot be read from here",
                "ask whoever writes it to close it, or copy both files to a folder of your own",
            ) from None
        return Connection.to(path, "ro&immutable=1")
    except BaseException:
        connection.close()
        raise


def _checked(connection: Connection, path: Path, *, write: bool) -> Connection:
    try:
        if write:
            _prepare(connection, path)
        else:
            _check(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: Connection, path: Path) -> None:
    """Give a new file its tables; an older one stays as it is, see ``migration``."""
    new = _is_new(connection)
    if not new:
        _check(connection, path)  # before anything is changed
    connection.execute("PRAGMA journal_mode=WAL")
    if new:
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _is_new(connection):  # another process may have been quicker
                for table in TABLES.values():
                    connection.execute(table)
                connection.execute(f"PRAGMA application_id={APPLICATION}")
                connection.execute(f"PRAGMA user_version={VERSION}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        _check(connection, path)
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint=0")  # ``Journal`` looks first whether the log is whole


def _is_new(connection: Connection) -> bool:
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return not tables and number(connection, "application_id") in (0, APPLICATION)


def _check(connection: Connection, path: Path) -> int:
    """Refuse a file whose tables are not ours to the letter: no trigger and no view ever runs.

    Returns:
        its format.
    """
    if number(connection, "application_id") != APPLICATION:
        raise StorageError(f"{str(path)!r} is not a journal of nemo_lab", "give another path")
    version = number(connection, "user_version")
    if version > VERSION:
        raise StorageError(
            f"{str(path)!r} has format {version}, this nemo_lab knows up to {VERSION}", "upgrade nemo_lab"
        )
    found = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
    ours = {("table", name): sql for name, sql in FORMATS.get(version, {}).items()}
    theirs = {(kind, name): _squeezed(sql) for kind, name, sql in found if sql is not None}
    if not ours or theirs != ours:
        raise StorageError(f"the tables of {str(path)!r} are not those of a journal", "give another path")
    return version


def number(connection: sqlite3.Connection, pragma: str) -> int:
    """What a PRAGMA says."""
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])


def _squeezed(sql: str) -> str:
    """As in ``tables``, however it was broken into lines."""
    return " ".join(str(sql).split()).replace("( ", "(")
