"""The tables of a journal, by format, and what is read of each."""

from __future__ import annotations

VERSION = 3  # of the format that is written

_KEY = "study INTEGER NOT NULL, number INTEGER NOT NULL"
_NUMBERED = "PRIMARY KEY (study, number)) WITHOUT ROWID"
_GENERATIONS = f"CREATE TABLE generations ({_KEY}, record TEXT NOT NULL, crc INTEGER NOT NULL, {_NUMBERED}"
_CHECKPOINTS = (
    "CREATE TABLE checkpoints (study INTEGER PRIMARY KEY, evaluation INTEGER NOT NULL, "
    "steers INTEGER NOT NULL, state TEXT NOT NULL, arrays BLOB NOT NULL, crc INTEGER NOT NULL)"
)
_ANSWERS = (
    "CREATE TABLE answers (fingerprint TEXT NOT NULL, bits BLOB NOT NULL, objectives BLOB NOT NULL, "
    "crc INTEGER NOT NULL, PRIMARY KEY (fingerprint, bits)) WITHOUT ROWID"
)

TABLES = {
    "studies": "CREATE TABLE studies (study INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, "
    "fingerprint TEXT NOT NULL, header TEXT NOT NULL, arrays BLOB NOT NULL, crc INTEGER NOT NULL, "
    "status TEXT NOT NULL, status_crc INTEGER NOT NULL, writer TEXT NOT NULL)",
    "evaluations": f"CREATE TABLE evaluations ({_KEY}, bits BLOB NOT NULL, objectives BLOB NOT NULL, "
    "species INTEGER NOT NULL, origin INTEGER NOT NULL, generation INTEGER NOT NULL, asks INTEGER NOT NULL, "
    f"place INTEGER NOT NULL, crc INTEGER NOT NULL, {_NUMBERED}",
    "generations": _GENERATIONS,
    "steers": f"CREATE TABLE steers ({_KEY}, evaluation INTEGER NOT NULL, asks INTEGER NOT NULL, "
    "action TEXT NOT NULL, detail TEXT NOT NULL, arguments TEXT NOT NULL, arrays BLOB NOT NULL, "
    f"crc INTEGER NOT NULL, {_NUMBERED}",
    "checkpoints": _CHECKPOINTS,
    "answers": _ANSWERS,
    "annotations": "CREATE TABLE annotations (study INTEGER NOT NULL, kind TEXT NOT NULL, "
    "key TEXT NOT NULL, body TEXT NOT NULL, arrays BLOB NOT NULL, crc INTEGER NOT NULL, "
    "PRIMARY KEY (study, kind, key)) WITHOUT ROWID",
}

_SECOND = {
    "studies": "CREATE TABLE studies (study INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, "
    "fingerprint TEXT NOT NULL, header TEXT NOT NULL, arrays BLOB NOT NULL, status TEXT NOT NULL, "
    "writer TEXT NOT NULL)",
    "evaluations": f"CREATE TABLE evaluations ({_KEY}, bits BLOB NOT NULL, objectives BLOB NOT NULL, "
    "species INTEGER NOT NULL, origin INTEGER NOT NULL, generation INTEGER NOT NULL, "
    f"crc INTEGER NOT NULL, {_NUMBERED}",
    "generations": _GENERATIONS,
    "steers": f"CREATE TABLE steers ({_KEY}, evaluation INTEGER NOT NULL, action TEXT NOT NULL, "
    "detail TEXT NOT NULL, arguments TEXT NOT NULL, arrays BLOB NOT NULL, "
    f"crc INTEGER NOT NULL, {_NUMBERED}",
    "checkpoints": _CHECKPOINTS,
    "answers": _ANSWERS,
}
_FIRST = {name: text for name, text in _SECOND.items() if name != "answers"}

FORMATS = {1: _FIRST, 2: _SECOND, VERSION: TABLES}  # files are compared with these to the letter

_COLUMNS = {  # as the functions of ``rows`` take them
    "studies": "name, fingerprint, header, arrays, crc, status, status_crc, writer",
    "evaluations": "number, bits, objectives, species, origin, generation, asks, place, crc",
    "generations": "number, record, crc",
    "steers": "number, evaluation, asks, action, detail, arguments, arrays, crc",
    "checkpoints": "evaluation, steers, state, arrays, crc",
    "answers": "bits, objectives, crc",
    "annotations": "kind, key, body, arrays, crc",
}
_ADDED = {"studies": ("crc", "status_crc"), "evaluations": ("asks", "place"), "steers": ("asks",)}


def selected(table: str, version: int) -> str:
    """The SELECT, up to its WHERE, of what a table of that format has: NULL where it lacks a column."""
    names = _COLUMNS[table].split(", ")
    if version < VERSION:
        names = [f"NULL AS {name}" if name in _ADDED.get(table, ()) else name for name in names]
    return f"SELECT {', '.join(names)} FROM {table}"  # noqa: S608
