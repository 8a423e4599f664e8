"""Records to rows of the tables and back; what does not fit is damaged."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nemo_lab.errors import StorageError
from nemo_lab.search import ORIGINS, Evaluations, GenerationRecord, SpeciesRecord
from nemo_lab.study.journal.packing import pack, unpack
from nemo_lab.study.journal.records import StoredProblem
from nemo_lab.study.results.snapshot import Intervention

NUMBERS = struct.Struct("<qqqq")


def damaged(what: str) -> StorageError:
    """The error for a row that cannot be right."""
    return StorageError(
        f"{what} of the journal is damaged",
        "nemo_lab.study.salvage(path, new_path) copies all that can be read",
    )


def _crc(*texts: str, blob: bytes = b"") -> int:
    value = zlib.crc32(blob)
    for text in texts:
        value = zlib.crc32(text.encode(), value)
    return value


def evaluation_rows(study: int, log: Evaluations, start: int) -> Iterator[tuple[Any, ...]]:
    """Rows of the evaluations from ``start`` on."""
    for number in range(start, len(log)):
        bits = log.bits[number].tobytes()
        objectives = log.objectives[number].astype("<f8").tobytes()
        others = int(log.species[number]), int(log.origin[number]), int(log.generation[number])
        yield (study, number, bits, objectives, *others, evaluation_crc(number, bits, objectives, others))


def evaluation_crc(number: int, bits: bytes, objectives: bytes, others: Sequence[int]) -> int:
    """The check sum of an evaluation's row."""
    return zlib.crc32(objectives, zlib.crc32(bits, zlib.crc32(NUMBERS.pack(number, *others))))


def evaluations_of(found: Sequence[Sequence[Any]], start: int, nodes: int, objectives: int) -> Evaluations:
    """Evaluations, from rows in order of their number."""
    try:
        for expected, (number, bits, values, *others, crc) in enumerate(found, start):
            whole = number == expected and len(bits) == nodes and len(values) == 8 * objectives
            if not whole or evaluation_crc(number, bits, values, others) != crc:
                raise damaged(f"evaluation {expected}")
        columns = list(zip(*found, strict=True)) if found else [()] * 7
        return Evaluations(
            bits=np.frombuffer(b"".join(columns[1]), dtype=np.uint8).reshape(-1, nodes),
            objectives=np.frombuffer(b"".join(columns[2]), dtype="<f8")
            .reshape(-1, objectives)
            .astype(np.float64),
            species=np.array(columns[3], dtype=np.int16),
            origin=np.array(columns[4], dtype=np.int16),
            generation=np.array(columns[5], dtype=np.int32),
            asks=np.ones(len(found), dtype=np.int32),
            place=np.zeros(len(found), dtype=np.int32),
        )
    except (TypeError, ValueError, struct.error, OverflowError) as error:
        raise damaged("an evaluation") from error


def check(log: Evaluations, problem: StoredProblem, species: int) -> None:
    """Refuse evaluations that cannot be of a problem.

    Args:
        log: as read.
        problem: that they are of.
        species: how many took part at most.

    Raises:
        StorageError: if one has a width, an objective, a species or an origin that there is not.
    """
    allowed = np.zeros(256, dtype=bool)
    allowed[list(problem.bit_widths)] = True
    fits = (
        allowed[log.bits].all()
        and np.isfinite(log.objectives).all()
        and ((log.species >= -1) & (log.species < species)).all()
        and ((log.origin >= 0) & (log.origin < len(ORIGINS))).all()
        and (log.generation >= 0).all()
    )
    if not fits:
        raise damaged("an evaluation")


def joined(old: Evaluations, new: Evaluations) -> Evaluations:
    """One after the other."""
    return Evaluations(
        **{name: np.concatenate([column, getattr(new, name)]) for name, column in vars(old).items()}
    )


def generation_rows(
    study: int, history: Sequence[GenerationRecord], start: int
) -> Iterator[tuple[int, int, str, int]]:
    """Rows of the generations from ``start`` on."""
    for number in range(start, len(history)):
        one = history[number]
        text = json.dumps([one.generation, one.evaluations, one.hypervolume, *map(_species, one.species)])
        yield study, number, text, _crc(text)


def _species(one: SpeciesRecord) -> list[Any]:
    return list(vars(one).values())


def history_of(found: Iterable[Sequence[Any]], start: int) -> tuple[GenerationRecord, ...]:
    """Records of generations, from rows in order of their number."""
    history = []
    for expected, (number, text, crc) in enumerate(found, start):
        try:
            if number != expected or _crc(text) != crc:
                raise ValueError
            generation, evaluations, volume, *species = json.loads(text)
            records = tuple(SpeciesRecord(*one) for one in species)
            history.append(GenerationRecord(int(generation), int(evaluations), float(volume), records))
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise damaged(f"generation {expected}") from error
    return tuple(history)


def intervention_rows(study: int, record: Sequence[Intervention], start: int) -> Iterator[tuple[Any, ...]]:
    """Rows of the interventions from ``start`` on."""
    for number in range(start, len(record)):
        one = record[number]
        text, blob = pack(one.arguments)
        detail = one.detail.encode(errors="replace").decode()  # a lone surrogate is not text to SQLite
        yield (
            study,
            number,
            one.evaluation,
            one.action,
            detail,
            text,
            blob,
            _crc(one.action, detail, text, blob=blob),
        )


def interventions_of(found: Iterable[Sequence[Any]], start: int) -> tuple[Intervention, ...]:
    """Interventions, from rows in order of their number."""
    record = []
    for expected, (number, evaluation, action, detail, text, blob, crc) in enumerate(found, start):
        try:
            if number != expected or _crc(action, detail, text, blob=blob) != crc:
                raise ValueError
            arguments = unpack(text, blob)
            if not isinstance(arguments, dict):
                raise ValueError
            record.append(Intervention(int(evaluation), str(action), str(detail), arguments))
        except (ValueError, TypeError, AttributeError) as error:
            raise damaged(f"intervention {expected}") from error
    return tuple(record)


def object_of(text: Any) -> dict[str, Any]:
    """A JSON object, an empty one where it cannot be read."""
    try:
        found = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def status_of(text: Any) -> tuple[Mapping[str, Any], list[int]]:
    """What a study's row says of it, and how many evaluations, generations and interventions it has."""
    found = object_of(text)
    status, counts = found.get("status", {}), found.get("counts", [0, 0, 0])
    if not isinstance(status, dict) or not isinstance(counts, list) or len(counts) != 3:
        raise damaged("the status of a study")
    return status, counts
