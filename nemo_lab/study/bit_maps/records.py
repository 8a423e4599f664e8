"""What ``save_json`` and ``save_front`` write, checked when it is read."""

from __future__ import annotations

import os

import numpy as np

from nemo_lab.errors import DataError
from nemo_lab.search import Problem, adapt_problem
from nemo_lab.search.species import Bits
from nemo_lab.study.bit_maps.table import Entry
from nemo_lab.study.bit_maps.text import JsonObject, check_form, damaged
from nemo_lab.study.parsing.nodes import Selection
from nemo_lab.study.run.notices import notice
from nemo_lab.workload.records import FULL_PRECISION

CONFIGURATION, FRONT = "nemo_lab configuration", "nemo_lab front"  # formats, as files name them
VERSION = 1  # of both


def entries_of_record(path: str | os.PathLike[str], record: JsonObject, problem: Problem) -> list[Entry]:
    """The widths in the record of a configuration.

    Raises:
        DataError: if it is damaged, or a record of something else.

    Warns:
        NemoWarning: if it names another workload than the problem's.
    """
    check_form(path, record, CONFIGURATION, VERSION)
    nodes, file = record.get("nodes"), repr(os.fspath(path))
    if not isinstance(nodes, list) or not nodes:
        raise damaged("the record has no list of nodes")
    entries: dict[str, Entry] = {}
    for place, node in enumerate(nodes):
        if not isinstance(node, dict) or not isinstance(node.get("name"), str):
            raise damaged(f"node {place} of the record has no name")
        name, width = node["name"], node.get("bits")
        if type(width) is not int or not 1 <= width <= FULL_PRECISION:
            raise damaged(f"node {name!r} of the record has bits {width!r:.40}")
        if name in entries:
            raise damaged(f"the record names node {name!r} twice")
        entries[name] = Entry(name, width, f"node {place} of {file}")
    workload = adapt_problem(problem).workload
    own = record.get("workload") if workload is None else workload.name
    if record.get("workload") != own:
        notice(
            f"the record is of workload {record.get('workload')!r}, the problem of {own!r}: where the nodes "
            "have the same names, objectives and ranges may differ all the same"
        )
    return list(entries.values())


def bits_of_front(path: str | os.PathLike[str], record: JsonObject, problem: Problem) -> Bits:
    """The configurations of a saved front, uint8[N, Q], in the order of the problem's nodes.

    Raises:
        DataError: if it is damaged, something else, or its nodes are not those of the problem.
        BitWidthError: if it has a width that the problem does not allow.
    """
    check_form(path, record, FRONT, VERSION)
    names, members = record.get("node_names"), record.get("front")
    if not isinstance(names, list) or not isinstance(members, list):
        raise DataError("the file has no nodes or no front", "give a file written by save_front, unchanged")
    known = list(problem.node_names)
    if sorted(map(str, names)) != sorted(known):
        raise DataError(
            f"the file is of {len(names)} nodes that are not those of the problem ({len(known)})",
            "load it with the problem it was saved from",
        )
    order = [names.index(name) for name in known]
    rows = []
    for place, member in enumerate(members):
        bits = member.get("bits") if isinstance(member, dict) else None
        if not isinstance(bits, list) or [type(one) for one in bits] != [int] * len(known):
            raise DataError(
                f"member {place} of the front has bit-widths that are not valid",
                "use the file as it was saved",
            )
        rows.append([bits[i] for i in order])
    if not rows:
        return np.empty((0, len(known)), dtype=np.uint8)
    return Selection(problem).bits(rows)
