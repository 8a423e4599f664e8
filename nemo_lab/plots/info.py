"""The numbers of every figure, as frozen records: computed first, drawn later, live or static."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nemo_lab.search import Problem
from nemo_lab.search.rules import Pins
from nemo_lab.study import Snapshot

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FrontInfo:
    """All evaluated points and the front among them, as they are drawn.

    Attributes:
        names: of the three objectives drawn: vertical, and the two horizontal ones.
        values: float[N, 3] in drawing units; an error is turned into accuracy.
        config: int[N].
        species: int[N], position, -1 for none.
        generation: int[N].
        on_front: bool[N].
        feasible: bool[N], whether the pins in force are satisfied.
        species_names: name of each position.
    """

    names: tuple[str, str, str]
    values: Floats
    config: NDArray[np.int64]
    species: NDArray[np.int16]
    generation: NDArray[np.int32]
    on_front: NDArray[np.bool_]
    feasible: NDArray[np.bool_]
    species_names: tuple[str, ...]


def drawn_objectives(problem: Problem) -> tuple[str, str, str]:
    """The first objective stands upright, the next two lie; a lone one is drawn twice."""
    first, *others = problem.objective_names
    others = [*others, *([first] * 2)][:2]
    return first, others[0], others[1]


def drawn_values(objectives: Floats, problem: Problem) -> Floats:
    """float[N, K] as evaluated to float[N, 3] as drawn."""
    names = drawn_objectives(problem)
    columns = [problem.objective_names.index(name) for name in names]
    values = np.array(objectives[:, columns])
    for k, name in enumerate(names):
        if name == "task_error":
            values[:, k] = 1.0 - values[:, k]
    return values


def front_info(snapshot: Snapshot, problem: Problem, species: Sequence[str]) -> FrontInfo:
    """What the front panel shows of a snapshot."""
    log = snapshot.evaluations
    on_front = np.zeros(len(log), dtype=bool)
    on_front[snapshot.front] = True
    return FrontInfo(
        names=drawn_objectives(problem),
        values=drawn_values(log.objectives, problem),
        config=np.arange(len(log)),
        species=log.species,
        generation=log.generation,
        on_front=on_front,
        feasible=log.satisfying(snapshot.pins),
        species_names=tuple(species),
    )


@dataclass(frozen=True, eq=False)
class SpeciesInfo:
    """The course of the run, a row at the end of each generation and one for now.

    Attributes:
        names: of the S species.
        evaluations: float[G].
        allocation, r2, front_share: float[G, S].
        hypervolume: float[G].
    """

    names: tuple[str, ...]
    evaluations: Floats
    allocation: Floats
    r2: Floats
    front_share: Floats
    hypervolume: Floats


def species_info(snapshot: Snapshot, species: Sequence[str]) -> SpeciesInfo:
    """What the species panel shows of a snapshot."""
    history = snapshot.history
    log = snapshot.evaluations
    owners = log.species[snapshot.front]
    share = [float((owners == s).mean()) if len(owners) else np.nan for s in range(len(species))]

    def per_species(field: str, first: Sequence[float], last: Sequence[float]) -> Floats:
        rows = [[float(getattr(one, field)) for one in record.species] for record in history]
        return np.array([first, *rows, last], dtype=np.float64)

    unknown = [np.nan] * len(species)
    latest_r2 = [one.r2 for one in history[-1].species] if history else unknown
    start = [one.allocation for one in history[0].species] if history else snapshot.allocation
    return SpeciesInfo(
        names=tuple(species),
        evaluations=np.array([0.0, *(record.evaluations for record in history), len(log)]),
        allocation=per_species("allocation", start, snapshot.allocation),
        r2=per_species("r2", unknown, latest_r2),
        front_share=per_species("front_share", unknown, share),
        hypervolume=np.array([0.0, *(record.hypervolume for record in history), snapshot.hypervolume]),
    )


@dataclass(frozen=True, eq=False)
class GraphInfo:
    """The nodes of a workload in execution order, and what joins them.

    Attributes:
        names, kinds, ops, shapes: text of each of Q nodes.
        params, macs: float[Q].
        groups: (label, first node, last node) of each stretch of nodes of one block.
        edges: int[2, E], the data flow.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    ops: tuple[str, ...]
    shapes: tuple[str, ...]
    params: Floats
    macs: Floats
    groups: tuple[tuple[str, int, int], ...]
    edges: NDArray[np.int64]


def graph_info(problem: Problem) -> GraphInfo:
    """What the graph panel shows of a problem; plain names and edges where it has no workload."""
    workload = getattr(problem, "workload", None)
    names = tuple(problem.node_names)
    nodes = getattr(workload, "nodes", None)
    if nodes is None:
        blank = ("",) * len(names)
        zero = np.zeros(len(names))
        kinds = tuple("activation" if name.endswith((".input", ".output")) else "weight" for name in names)
        return GraphInfo(names, kinds, blank, blank, zero, zero, _groups(names), problem.edges)
    return GraphInfo(
        names=names,
        kinds=tuple(node.kind for node in nodes),
        ops=tuple(node.op for node in nodes),
        shapes=tuple(" x ".join(map(str, node.shape)) for node in nodes),
        params=np.array([node.params for node in nodes], dtype=np.float64),
        macs=np.array([node.macs for node in nodes], dtype=np.float64),
        groups=_groups(names),
        edges=workload.topology if workload is not None else problem.edges,
    )


def _groups(names: Sequence[str]) -> tuple[tuple[str, int, int], ...]:
    """Stretches of nodes with the same block, such as ``blocks.3`` or ``stem``."""
    groups: list[tuple[str, int, int]] = []
    for position, name in enumerate(names):
        parts = name.split(".")
        label = ".".join(parts[:2]) if len(parts) > 1 and parts[1].isdigit() else parts[0]
        if groups and groups[-1][0] == label:
            groups[-1] = (label, groups[-1][1], position)
        else:
            groups.append((label, position, position))
    return tuple(groups)


def pinned_widths(pins: Pins, count: int) -> NDArray[np.int64]:
    """int[Q]: the width of every node that is pinned to one, 0 for any other."""
    widths = np.zeros(count, dtype=np.int64)
    for node, width in pins.items():
        if not isinstance(width, tuple):
            widths[node] = width
    return widths
