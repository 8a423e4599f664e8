"""AIMET encodings: what AIMET writes and reads of every tensor that it rounds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from nemo_lab.errors import DataError
from nemo_lab.search import Problem
from nemo_lab.study.bit_maps.table import Entry
from nemo_lab.study.bit_maps.text import JsonObject, damaged
from nemo_lab.study.parsing.nodes import Selection
from nemo_lab.workload.records import FULL_PRECISION

SECTIONS = ("param_encodings", "activation_encodings")
VERSIONS = ("0.6.1", "1.0.0")
OUTPUT = ".output"  # of what a tensor is called after
SHOWN = 5  # names in a message


def is_encodings(record: JsonObject) -> bool:
    """Whether a JSON object is laid out as AIMET writes it."""
    return "version" in record and not {*SECTIONS, "encodings"}.isdisjoint(record)


def entries_of_encodings(path: str | os.PathLike[str], record: JsonObject, problem: Problem) -> list[Entry]:
    """The width of every tensor that is a node of a problem; biases and what has 32 bits are left out.

    A tensor is one of the problem's if a node is called like it, or if it is called like the layer, function
    or input of the network that gives it.

    Raises:
        DataError: if the file is damaged or of another version, or has tensors that no node is called like.
    """
    file, selection = repr(os.fspath(path)), Selection(problem)
    if record["version"] not in VERSIONS:
        raise DataError(
            f"{file} has AIMET encodings of version {record['version']!r:.40}",
            f"export them again as {VERSIONS[-1]}; {' and '.join(VERSIONS)} are read",
        )
    found, unknown = list[Entry](), list[str]()
    for name, bits, is_float in _tensors(record, file):
        if bits >= FULL_PRECISION or _is_bias(name, selection):
            continue
        if is_float:
            raise DataError(
                f"{name!r} in {file} is rounded to floating point of {bits} bits",
                "take it out of the file, or have it rounded to integers",
            )
        node = next((one for one in (name, name + OUTPUT) if _is_node(one, selection)), None)
        if node is None:
            unknown.append(name)
        else:
            found.append(Entry(node, bits, f"{name!r} in {file}"))
    if unknown:
        some = ", ".join(map(repr, unknown[:SHOWN])) + (", ..." if len(unknown) > SHOWN else "")
        raise DataError(
            f"no node is called like {len(unknown)} of {len(unknown) + len(found)} tensors in {file}: {some}",
            "take these out of the file or call them as in problem.node_names; "
            "load_bits(path, problem, default=8) fills what is missing then",
        )
    return found


def _is_node(name: str, selection: Selection) -> bool:
    """Whether a name means one node, and not a layer or more."""
    return not set(name) & set("*?[") and selection.knows(name) and len(selection.nodes(name)) == 1


def _is_bias(name: str, selection: Selection) -> bool:
    layer, _, last = name.rpartition(".")
    return last == "bias" and not selection.knows(name) and selection.knows(f"{layer}.weight")


def _tensors(record: JsonObject, file: str) -> Iterator[tuple[str, int, bool]]:
    """Name, width, and whether it is one of floating point, of every tensor."""
    for section in SECTIONS:
        listed = record.get(section, [])
        if isinstance(listed, list):  # 1.0.0
            pairs = [(one.get("name") if isinstance(one, dict) else None, [one]) for one in listed]
        elif isinstance(listed, JsonObject):  # 0.6.1: one for each channel
            pairs = list(listed.pairs)
        else:
            raise damaged(f"{section} in {file} is neither a list nor an object")
        for place, (name, channels) in enumerate(pairs):
            if not isinstance(name, str):
                raise damaged(f"number {place} of {section} in {file} has no name")
            found = {_width(one) for one in channels} if isinstance(channels, list) else set()
            width = found.pop() if len(found) == 1 else None
            if width is None:
                raise damaged(f"{name!r} in {file} has no width, or several")
            yield name, *width


def _width(encoding: Any) -> tuple[int, bool] | None:
    """The width in an encoding, and whether it is one of floating point; None if there is none."""
    if not isinstance(encoding, dict):
        return None
    bits = encoding.get("bw", encoding.get("bitwidth"))
    return (bits, str(encoding.get("dtype")).lower() == "float") if type(bits) is int and bits > 0 else None
