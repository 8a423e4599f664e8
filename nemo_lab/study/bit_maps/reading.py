"""From a file to configurations: a bit map of any kind, a record, or a front."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from nemo_lab.errors import ArgumentError, DataError, NemoError, shown
from nemo_lab.search import Problem
from nemo_lab.search.species import Bits
from nemo_lab.study.bit_maps.encodings import entries_of_encodings, is_encodings
from nemo_lab.study.bit_maps.records import FRONT, bits_of_front, entries_of_record
from nemo_lab.study.bit_maps.table import Entry, entries_of, whole
from nemo_lab.study.bit_maps.text import is_json, json_object, read_text
from nemo_lab.study.parsing.nodes import Selection
from nemo_lab.study.run.notices import notice

Path_ = str | os.PathLike[str]
MOST = 100_000  # names in a file
ONE_BY_ONE = (str, os.PathLike, Mapping)


def read_bits(path: Path_, problem: Problem, default: int | None = None) -> Bits:
    """The one configuration of a file, uint8[Q]; see ``nemo_lab.export.load_bits``."""
    rows = _read(path, problem, default)
    if rows.ndim > 1:
        raise DataError(
            f"{os.fspath(path)!r} holds a front of {len(rows)} configurations",
            "load_front(path, problem) reads all of them",
        )
    return rows


def starts(given: Any, problem: Problem) -> Bits:
    """What a search is to start from, uint8[N, Q], each configuration once.

    Args:
        given: as for ``create_study(start_from=...)``.
        problem: that is searched.

    Raises:
        ArgumentError: if there is no configuration in it.
        NemoError: as for ``Study.enqueue`` and ``nemo_lab.export.load_bits``.
    """
    several = isinstance(given, list | tuple) and any(
        isinstance(one, ONE_BY_ONE) or getattr(one, "ndim", 0) for one in given
    )
    rows = [row for one in (given if several else [given]) for row in _start(one, problem)]
    if not rows:
        raise ArgumentError("start_from holds no configuration", "give one, or leave start_from out")
    return np.stack(list({row.tobytes(): row for row in rows}.values()))


def _start(given: Any, problem: Problem) -> Bits:
    if isinstance(given, str | os.PathLike):
        return np.atleast_2d(_read(given, problem, None))
    try:
        return Selection(problem).bits(given)
    except NemoError as error:
        raise error.at("start_from") from error.__cause__


def _read(path: Path_, problem: Problem, default: int | None) -> Bits:
    """uint8[Q] of a bit map, AIMET encodings or a record, uint8[N, Q] of a front."""
    text, file, selection = read_text(path), repr(os.fspath(path)), Selection(problem)
    if not is_json(path, text):
        return _merged(entries_of(text, file, selection.knows), problem, file, default)
    found = json_object(path, text)
    if found.get("format") == FRONT:
        return bits_of_front(path, found, problem)
    if isinstance(found.get("format"), str):
        return _merged(entries_of_record(path, found, problem), problem, file, default)
    if is_encodings(found):
        return _merged(entries_of_encodings(path, found, problem), problem, file, default)
    pairs = (Entry(name, whole(bits), f"{shown(name)} in {file}") for name, bits in found.pairs)
    return _merged(pairs, problem, file, default)


def _merged(entries: Iterable[Entry], problem: Problem, file: str, default: int | None) -> Bits:
    """The widths of all nodes, uint8[Q]; of two that contradict each other the second has to be narrower."""
    selection, names = Selection(problem), tuple(problem.node_names)
    given: dict[int, tuple[int, set[int], Entry]] = {}  # width, all nodes that it was given to, and by what
    apart, left_out = _in_full_precision(problem), list[str]()
    for number, entry in enumerate(entries):
        if number == MOST:
            raise DataError(f"{file} has more than {MOST} names", "give the table of one network")
        named = {entry.name, entry.name.rpartition(".")[0]}  # the node, or its layer
        if not named.isdisjoint(apart) and not selection.knows(entry.name):
            left_out.append(entry.name)
            continue
        widths = _located(selection, entry, names)
        nodes = set(widths)
        for node, width in widths.items():
            before, wider, earlier = given.get(node, (width, nodes, entry))
            if width != before and not nodes < wider:
                raise DataError(
                    f"{names[node]!r} has {before} bits ({earlier.where}) and {width} bits ({entry.where})",
                    "keep one of the two; the width of a layer or a glob comes before that of a single node",
                )
            if node not in given or nodes < wider:
                given[node] = width, nodes, entry
    if left_out:
        notice(f"{file} has widths for what stays in full precision here, left out: {', '.join(left_out)}")
    missing = [name for node, name in enumerate(names) if node not in given]
    if missing and default is None:
        raise DataError(
            f"{file} has no width for {missing[0]!r} ({len(missing)} of {len(names)} nodes are missing)",
            "give the problem that it was made for, or a width for the rest: "
            f"load_bits(path, problem, default={problem.bit_widths[-1]})",
        )
    widths = {node: width for node, (width, _, _) in given.items()}
    for name in missing:
        try:
            widths |= selection.widths(name, default)
        except NemoError as error:
            raise error.at(f"default={default!r} for {name!r}") from None
    found: Bits = selection.bits([widths[node] for node in range(len(names))])[0]
    return found


def _in_full_precision(problem: Problem) -> set[str]:
    workload = problem.workload
    return set() if workload is None else {part.name for part in workload.full_precision}


def _located(selection: Selection, entry: Entry, names: Sequence[str]) -> dict[int, int]:
    """Node -> width by an entry; what is wrong with it is said of where it stands."""
    name = entry.name if entry.name in names else entry.name.strip()
    try:
        return selection.widths(name, entry.bits)
    except NemoError as error:
        raise error.at(entry.where) from error.__cause__
