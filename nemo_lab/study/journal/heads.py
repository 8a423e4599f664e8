"""The row of a study, and those that there is one of: its header, its status, its latest engine state."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from nemo_lab.arguments import Text, Whole
from nemo_lab.contract import check_description, check_fingerprint
from nemo_lab.errors import StorageError, shown
from nemo_lab.study.inherited import Inherited
from nemo_lab.study.journal.packing import pack, unpack
from nemo_lab.study.journal.records import Checkpoint, Header, StoredProblem
from nemo_lab.study.journal.rows import count, crc_of, damaged
from nemo_lab.study.journal.tables import VERSION
from nemo_lab.study.results.snapshot import read_status

SEED, WORKERS, ENGINE = Whole(0, 2**128 - 1), Whole(1, 1024), Whole(1, 2**31)
Counts = Sequence[int]  # evaluations, generations, interventions


def fingerprint_text(parts: Mapping[str, str]) -> str:
    """The digests of a study as one text, equal where workload, data and settings are."""
    return json.dumps(dict(sorted(parts.items())))


# studies: name, fingerprint, header, arrays, crc, status, status_crc, writer


def header_row(header: Header) -> tuple[Any, ...]:
    """Name, fingerprint, header, arrays and check sum of a study, for a file.

    Raises:
        StorageError: if what it says could not be read again.
    """
    try:
        fields = {**vars(header), "problem": header.problem.saved()}
        inherited = fields.pop("inherited")
        if inherited.networks:
            fields["inherited"] = inherited.saved()
        text, blob = pack(fields)
    except TypeError as error:
        raise StorageError(f"study {header.name!r} cannot be written down: {error}") from error
    texts = header.name, fingerprint_text(header.fingerprint), text
    row = *texts, blob, crc_of(*texts, blob)
    header_of(row)
    return row


def header_of(row: Sequence[Any]) -> Header:
    """What a study is, from what ``header_row`` gave.

    Raises:
        StorageError: if nemo_lab cannot have written it.
    """
    name, fingerprint, text, blob, crc = row
    try:
        if crc is not None and crc_of(name, fingerprint, text, blob) != crc:
            raise ValueError("the check sum is another")
        if not (fingerprint + text).isascii():  # in the formats without a check sum a broken text says so
            raise ValueError("a text is broken")
        fields = unpack(text, blob)
        fields["problem"] = StoredProblem.read(fields["problem"], fields.get("recipe"))
        fields["species"] = tuple(fields["species"])
        if "inherited" in fields:
            fields["inherited"] = Inherited.read(fields["inherited"])
        header = Header(**fields)
        _check(header)
        if (header.name, fingerprint_text(header.fingerprint)) != (name, fingerprint):
            raise ValueError("name or fingerprint are others in its row")
    except Exception as error:  # a file may say anything
        raise StorageError(
            f"the head of study {shown(name)} cannot be read: {shown(str(error))}",
            "its evaluations can still be read by SQL, see docs/journal.md",
        ) from error
    return header


def _check(header: Header) -> None:
    """Refuse a header that no study has; raises any exception."""
    Text().clean(header.name)
    for name, domain in (("seed", SEED), ("workers", WORKERS), ("engine", ENGINE)):
        value = getattr(header, name)
        if type(value) is not int or domain.clean(value) != value:
            raise ValueError(f"{name} is {shown(value)}")
    check_names(header.species)
    check_description(header.problem)
    check_fingerprint(header.fingerprint)
    for name in ("options", "versions"):
        if not isinstance(getattr(header, name), dict):
            raise TypeError(f"{name} are {shown(getattr(header, name))}")
    for name, value in header.options.items():
        if not all(map(_plain, value if isinstance(value, list | tuple) else [value])):
            raise TypeError(f"option {name} is {shown(value)}")
    if header.recipe is not None and set(header.recipe) != {"workload"}:
        raise ValueError(f"recipe is {shown(header.recipe)}")
    texts = [header.created, *header.versions.values(), *(header.recipe or {}).values()]
    if not all(isinstance(one, str) for one in texts):
        raise TypeError("a text is missing")


def _plain(value: Any) -> bool:
    return math.isfinite(value) if isinstance(value, float) else isinstance(value, bool | int | str | None)


def check_names(species: Sequence[Any]) -> None:
    """Refuse names of species of which one is not a text, or there twice; raises any exception."""
    if not species or not all(isinstance(one, str) and one for one in species):
        raise TypeError(f"species are {shown(species)}")
    if len(set(species)) < len(species):
        raise ValueError("a species is there twice")


def status_row(status: Mapping[str, Any], counts: Counts, mark: int) -> tuple[str, int]:
    """What is said of a run, and how much is stored of it, for a file."""
    text = json.dumps({"counts": list(counts), "status": dict(status)})
    return text, crc_of(text, mark=mark)


def status_of(text: Any, crc: Any, header: Header, mark: int) -> tuple[Mapping[str, Any], list[int]]:
    """What a study's row says of it, and how many evaluations, generations and interventions it has.

    Raises:
        StorageError: if nemo_lab cannot have written it.
    """
    try:
        if crc is not None and crc_of(text, mark=mark) != crc:
            raise ValueError("the check sum is another")
        found = json.loads(text)
        status, counts = found.get("status", {}), found.get("counts", [0, 0, 0])
        read_status(status, header.species)
        evaluations, generations, interventions = map(count, counts)
    except Exception as error:  # a file may say anything
        raise damaged(f"the status of study {header.name!r}") from error
    return status, [evaluations, generations, interventions]


# checkpoints: evaluation, steers, state, arrays, crc


def checkpoint_row(checkpoint: Checkpoint, mark: int) -> tuple[Any, ...]:
    """The engine's state, for a file."""
    text, blob = pack(checkpoint.state)
    at = checkpoint.evaluation, checkpoint.interventions
    return *at, text, blob, crc_of(text, blob, numbers=at, mark=mark)


def checkpoint_of(row: Sequence[Any] | None, version: int, mark: int) -> Checkpoint | None:
    """None where there is none, or it is damaged: a run can do without."""
    if row is None:
        return None
    evaluation, interventions, text, blob, crc = row
    try:
        at = (evaluation, interventions) if version >= VERSION else ()
        if crc_of(text, blob, numbers=at, mark=mark) != crc:
            return None
        return Checkpoint(count(evaluation), count(interventions), unpack(text, blob))
    except Exception:  # a file may say anything
        return None


# annotations: kind, key, body, arrays, crc


def annotation_row(kind: str, key: str, value: Any, mark: int) -> tuple[Any, ...]:
    """A note, for a file.

    Raises:
        TypeError: if it is of what cannot be stored.
    """
    text, blob = pack(value)
    return kind, key, text, blob, crc_of(kind, key, text, blob, mark=mark)


def annotation_of(row: Sequence[Any], mark: int) -> tuple[str, str, Any] | None:
    """Kind, key and value; None where it is damaged: a study can do without."""
    kind, key, text, blob, crc = row
    try:
        right = crc_of(kind, key, text, blob, mark=mark) == crc
        return (kind, key, unpack(text, blob)) if right else None
    except Exception:  # a file may say anything
        return None
