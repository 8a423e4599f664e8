"""Graph networks that were evolved on one network, for the nodes of another.

What a graph network reads has names: those of the columns of the features. Weights go over column by
column. An operation that the first network did not have is read like the mean of those that it had, and a
width that it did not have is written like the nearest one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.errors import ArgumentError
from nemo_lab.search.options import SearchOptions
from nemo_lab.search.problem import Problem, feature_names_of
from nemo_lab.search.species.base import Bits
from nemo_lab.search.species.graph import GraphSpecies
from nemo_lab.search.species.ssne import Parameters

OPERATION = "op: "  # what the name of such a column begins with
MOST = 48  # networks of a species, the most different
OPTIONS = ("gnn_hidden", "gnn_position", "gnn_edges")  # that decide what a network reads, and its shape


@dataclass(frozen=True, eq=False)
class Evolved:
    """Graph networks of a search.

    Attributes:
        title: what was searched.
        features: names of the columns that they read, those of the places of the nodes not among them.
        widths: that they write.
        options: of the search.
        networks: of each species by name.
    """

    title: str
    features: tuple[str, ...]
    widths: tuple[int, ...]
    options: Mapping[str, Any]
    networks: Mapping[str, Sequence[Parameters]] = field(repr=False)


def adapted(
    evolved: Evolved, species: GraphSpecies, problem: Problem, options: SearchOptions
) -> list[tuple[Parameters, Bits]]:
    """Networks of that species for a problem, each with the widths uint8[Q] that it gives.

    Raises:
        ArgumentError: if they were evolved with other options, or read nothing that there is here.
    """
    given, wanted = evolved.features, feature_names_of(problem)
    here = vars(options)
    there = {name: evolved.options[name] for name in OPTIONS if name in evolved.options}
    other = [f"{name}={value!r}" for name, value in there.items() if value != here[name]]
    if other:
        raise ArgumentError(
            f"the graph networks of {evolved.title!r} were evolved with {', '.join(other)}",
            f"create_study(..., {', '.join(other)})",
        )
    if not set(given) & set(wanted):
        raise ArgumentError(
            f"the graph networks of {evolved.title!r} read nothing that the nodes of this network have",
            f"call the same columns the same: {', '.join(given)}, and here {', '.join(wanted)}",
        )
    columns = _columns(given, wanted)
    nearest = np.abs(np.subtract.outer(np.asarray(problem.bit_widths), np.asarray(evolved.widths))).argmin(1)
    found = []
    for genome in evolved.networks.get(species.name, ()):
        parts = dict(zip(species.names, genome, strict=False))  # but for the noise, which is drawn anew
        read = parts[species.reads]
        parts[species.reads] = np.concatenate([read[:, : len(given)] @ columns, read[:, len(given) :]], 1)
        for name in ("output.weight", "output.bias"):
            parts[name] = parts[name][nearest]
        network = tuple(np.ascontiguousarray(part, dtype=np.float32) for part in parts.values())
        found.append((network, species.decode(network)))
    return found


def spread(found: Sequence[tuple[Parameters, Bits]]) -> list[Parameters]:
    """Networks that give different widths, so that the first few of them lie far apart."""
    different = list({bits.tobytes(): (float(bits.mean()), i) for i, (_, bits) in enumerate(found)}.values())
    rows = [i for _, i in sorted(different)]
    order = sorted(range(len(rows)), key=lambda place: int(f"{place:032b}"[::-1], 2))
    return [found[rows[place]][0] for place in order[:MOST]]


def _columns(given: Sequence[str], wanted: Sequence[str]) -> NDArray[np.float32]:
    """float32[given, wanted] of how much of each column there is read as each column here."""
    operations = np.array([name.startswith(OPERATION) for name in given])
    found = np.zeros((len(given), len(wanted)), dtype=np.float32)
    for place, name in enumerate(wanted):
        if name in given:
            found[given.index(name), place] = 1.0
        elif name.startswith(OPERATION) and operations.any():
            found[operations, place] = 1.0 / operations.sum()
    return found
