"""Records to rows of the tables and back; what does not fit is damaged.

What an older format lacks is None in a row that was read: a check sum is then as that format made it.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.choices import choices
from nemo_lab.errors import StorageError
from nemo_lab.search import ORIGINS, Evaluations, GenerationRecord, SpeciesRecord
from nemo_lab.study.journal.packing import pack, unpack
from nemo_lab.study.journal.records import StoredProblem
from nemo_lab.study.results.snapshot import Intervention

MOST = 2**53  # of anything that is counted: a float does not have more
OUT = 2**16  # candidates that are never out at once


def damaged(what: str) -> StorageError:
    """The error for a row that cannot be right."""
    return StorageError(
        f"{what} of the journal is damaged",
        "nemo_lab.study.salvage(path, new_path) copies all that can be read",
    )


def crc_of(*parts: str | bytes, numbers: Sequence[int | None] = (), mark: int = 0) -> int:
    """The check sum of numbers, None left out, then of texts and blobs.

    Args:
        parts: texts and blobs.
        numbers: before them.
        mark: the check sum of the head of the study that the row is of, so that no row of another passes for
            one of it, whoever mixed their files; 0 in the formats before the third.
    """
    known = [one for one in numbers if one is not None]
    value = zlib.crc32(struct.pack(f"<{len(known)}q", *known), mark)
    for part in parts:
        value = zlib.crc32(part.encode() if isinstance(part, str) else part, value)
    return value


# evaluations: number, bits, objectives, species, origin, generation, asks, place, crc


def evaluation_rows(study: int, log: Evaluations, start: int, mark: int) -> Iterator[tuple[Any, ...]]:
    """Rows of the evaluations from ``start`` on."""
    numbers: list[NDArray[Any]] = [log.species, log.origin, log.generation, log.asks, log.place]
    others = zip(*(column[start:].tolist() for column in numbers), strict=True)
    for number, rest in enumerate(others, start):
        bits = log.bits[number].tobytes()
        objectives = log.objectives[number].astype("<f8").tobytes()
        yield (study, number, bits, objectives, *rest, evaluation_crc(number, bits, objectives, rest, mark))


def evaluation_crc(
    number: int, bits: bytes, objectives: bytes, others: Sequence[int | None], mark: int
) -> int:
    """The check sum of an evaluation's row."""
    return crc_of(bits, objectives, numbers=(number, *others), mark=mark)


def evaluations_of(
    found: Sequence[Sequence[Any]], start: int, nodes: int, objectives: int, mark: int
) -> Evaluations:
    """Evaluations, from rows in order of their number."""
    try:
        for expected, (number, bits, values, *others, crc) in enumerate(found, start):
            whole = number == expected and len(bits) == nodes and len(values) == 8 * objectives
            if not whole or evaluation_crc(number, bits, values, others, mark) != crc:
                raise damaged(f"evaluation {expected}")
        columns: list[Any] = list(zip(*found, strict=True)) if found else [()] * 9
        asks = [1 if one is None else one for one in columns[6]]  # formats before the third: in turn
        place = [0 if one is None else one for one in columns[7]]
        return Evaluations(
            bits=np.frombuffer(b"".join(columns[1]), dtype=np.uint8).reshape(-1, nodes),
            objectives=np.frombuffer(b"".join(columns[2]), dtype="<f8")
            .reshape(-1, objectives)
            .astype(np.float64),
            species=np.array(columns[3], dtype=np.int16),
            origin=np.array(columns[4], dtype=np.int16),
            generation=np.array(columns[5], dtype=np.int32),
            asks=np.array(asks, dtype=np.int32),
            place=np.array(place, dtype=np.int32),
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
    widths = np.asarray(problem.bit_widths)
    allowed = np.zeros((problem.num_nodes, 256), dtype=bool)
    allowed[:, widths] = choices(problem)
    fits = (
        allowed[np.arange(problem.num_nodes), log.bits].all()
        and np.isfinite(log.objectives).all()
        and ((log.species >= -1) & (log.species < species)).all()
        and ((log.origin >= 0) & (log.origin < len(ORIGINS))).all()
        and (log.generation >= 0).all()
        and all(((column >= 0) & (column <= OUT)).all() for column in (log.asks, log.place))
    )
    if not fits:
        raise damaged("an evaluation")


def joined(old: Evaluations, new: Evaluations) -> Evaluations:
    """One after the other."""
    return Evaluations(
        **{name: np.concatenate([column, getattr(new, name)]) for name, column in vars(old).items()}
    )


# generations: number, record, crc


def generation_rows(
    study: int, history: Sequence[GenerationRecord], start: int, mark: int
) -> Iterator[tuple[Any, ...]]:
    """Rows of the generations from ``start`` on."""
    for number in range(start, len(history)):
        one = history[number]
        species = [list(vars(record).values()) for record in one.species]
        text = json.dumps([one.generation, one.evaluations, one.hypervolume, *species])
        yield study, number, text, crc_of(text, mark=mark)


def history_of(found: Iterable[Sequence[Any]], start: int, mark: int) -> tuple[GenerationRecord, ...]:
    """Generations, from rows in order of their number."""
    history = []
    for expected, (number, text, crc) in enumerate(found, start):
        try:
            if number != expected or crc_of(text, mark=mark) != crc:
                raise ValueError
            generation, evaluations, volume, *species = json.loads(text)
            records = tuple(_species_record(*one) for one in species)
            if not math.isfinite(_number(volume)):
                raise ValueError
            history.append(GenerationRecord(count(generation), count(evaluations), float(volume), records))
        except (ValueError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise damaged(f"generation {expected}") from error
    return tuple(history)


def _species_record(
    name: Any, r2: Any, score: Any, allocation: Any, evaluations: Any, share: Any
) -> SpeciesRecord:
    if not isinstance(name, str):
        raise TypeError
    numbers = _number(r2), _number(score)
    return SpeciesRecord(name, *numbers, count(allocation), count(evaluations), _number(share))


def _number(value: Any) -> float:
    if type(value) not in (int, float):
        raise TypeError
    return float(value)


def count(value: Any) -> int:
    """A whole number of at least 0.

    Raises:
        ValueError: of anything else.
    """
    if type(value) is not int or not 0 <= value < MOST:
        raise ValueError(f"{value!r:.40} counts nothing")
    return value


# steers: number, evaluation, asks, action, detail, arguments, arrays, crc


def intervention_rows(
    study: int, record: Sequence[Intervention], start: int, mark: int
) -> Iterator[tuple[Any, ...]]:
    """Rows of the interventions from ``start`` on."""
    for number in range(start, len(record)):
        one = record[number]
        arguments, blob = pack(one.arguments)
        detail = one.detail.encode(errors="replace").decode()  # a lone surrogate is not text to SQLite
        at, texts = (one.evaluation, one.asks), (one.action, detail, arguments)
        yield study, number, *at, *texts, blob, crc_of(blob, *texts, numbers=at, mark=mark)


def interventions_of(found: Iterable[Sequence[Any]], start: int, mark: int) -> tuple[Intervention, ...]:
    """Interventions, from rows in order of their number."""
    record: list[Intervention] = []
    for expected, (number, evaluation, asks, action, detail, text, blob, crc) in enumerate(found, start):
        try:
            at = () if asks is None else (evaluation, asks)
            if number != expected or crc_of(blob, action, detail, text, numbers=at, mark=mark) != crc:
                raise ValueError
            arguments = unpack(text, blob)
            if not isinstance(arguments, dict) or (record and evaluation < record[-1].evaluation):
                raise ValueError
            asks = count(asks or 0)
            if asks > OUT:
                raise ValueError
            record.append(Intervention(count(evaluation), action, detail, arguments, asks))
        except (ValueError, TypeError, AttributeError, struct.error) as error:
            raise damaged(f"intervention {expected}") from error
    return tuple(record)


def object_of(text: Any) -> dict[str, Any]:
    """A JSON object, an empty one where it cannot be read."""
    try:
        found = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
