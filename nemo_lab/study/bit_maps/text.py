"""The text of a file that somebody hands in, and the JSON in it: read and checked, never run."""

from __future__ import annotations

import errno
import json
import os
import stat
from typing import Any

from nemo_lab.errors import ArgumentError, DataError
from nemo_lab.study.journal.files import check_closed

MAX_BYTES = 16 * 2**20  # a record of a thousand nodes has a quarter of a megabyte


class JsonObject(dict[str, Any]):
    """A JSON object that remembers what stands in it twice.

    Attributes:
        pairs: names and values as they stand in the text.
    """

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = tuple(pairs)


def read_text(path: str | os.PathLike[str]) -> str:
    """What a file says, without a byte order mark.

    Raises:
        ArgumentError: if it cannot be read.
        DataError: if it is empty, too large, or not text in UTF-8.
    """
    name = repr(os.fspath(path))
    try:
        check_closed(path)
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise OSError(errno.EINVAL, "it is not a file")
        with open(path, "rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ArgumentError(
            f"cannot read {name}: {reason}", "give a file of nemo_lab.export, or a table of names and widths"
        ) from error
    if len(raw) > MAX_BYTES:
        raise damaged(f"{name} is larger than {MAX_BYTES // 2**20} MB")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise not_text(name) from error
    if "\0" in text:
        raise not_text(name)
    if not text.strip():
        raise damaged(f"{name} is empty")
    return text


def is_json(path: str | os.PathLike[str], text: str) -> bool:
    """Whether a text is meant as JSON: its file is called so, or it begins like an object."""
    return os.fspath(path).lower().endswith(".json") or text.lstrip().startswith("{")


def json_object(path: str | os.PathLike[str], text: str) -> JsonObject:
    """The JSON object that a text is.

    Raises:
        DataError: if it is none.
    """
    name = repr(os.fspath(path))
    try:
        found = json.loads(text, object_pairs_hook=JsonObject)
    except (ValueError, RecursionError) as error:
        raise damaged(f"{name} cannot be read as JSON: {error}") from error
    if not isinstance(found, JsonObject):
        raise DataError(
            f"{name} holds {'a list' if isinstance(found, list) else 'a single value'}",
            'write {"name of a node": width, ...}',
        )
    return found


def check_form(path: str | os.PathLike[str], record: JsonObject, form: str, version: int) -> None:
    """Refuse what is not of a format and version of ours.

    Raises:
        DataError: says what it is instead.
    """
    if record.get("format") != form:
        raise damaged(f"{os.fspath(path)!r} does not hold a {form}")
    if record.get("version") != version:
        raise DataError(
            f"the record has version {record.get('version')!r}, this nemo_lab reads {version}",
            "read it with the nemo_lab that wrote it",
        )


def damaged(what: str) -> DataError:
    """The error for a file that is not what it should be."""
    return DataError(what, "give a file of nemo_lab.export, unchanged, or a table of names and widths")


def not_text(name: str) -> DataError:
    """The error for a workbook, an archive, or text in another encoding."""
    return DataError(f"{name} is not text in UTF-8", "save it from its program as CSV (UTF-8), or as JSON")
