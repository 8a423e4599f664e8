"""The numbers of every figure, as frozen records: computed first, drawn later, live or static."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nemo_lab.plots.front_info import FrontInfo, drawn_objectives, drawn_values, front_info
from nemo_lab.search import Problem
from nemo_lab.study import Snapshot

__all__ = [
    "FrontInfo",
    "GraphInfo",
    "SpeciesInfo",
    "drawn_objectives",
    "drawn_values",
    "front_info",
    "graph_info",
    "species_info",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SpeciesInfo:
    """The course of the run, a row at the end of each generation and one for now.

    Attributes:
        names: of the S species.
        evaluations: float[G].
        allocation, r2, front_share, made: float[G, S]; the last are evaluations so far.
        hypervolume: float[G].
        steers: float[I], evaluations before each intervention, with
        said: what it was.
    """

    names: tuple[str, ...]
    evaluations: Floats
    allocation: Floats
    r2: Floats
    front_share: Floats
    made: Floats
    hypervolume: Floats
    steers: Floats
    said: tuple[str, ...]


def species_info(snapshot: Snapshot, species: Sequence[str]) -> SpeciesInfo:
    """What the species panel shows of a snapshot."""
    history = snapshot.history
    log = snapshot.evaluations
    owners = log.species[snapshot.front]
    share = [float((owners == s).mean()) if len(owners) else np.nan for s in range(len(species))]

    def per_species(field: str, first: Sequence[float], last: Sequence[float]) -> Floats:
        rows = [[float(getattr(one, field)) for one in record.species] for record in history]
        found = np.full((len(rows) + 2, len(species)), np.nan)  # a species may have come later
        for place, values in enumerate((first, *rows, last)):
            found[place, : len(values)] = values
        return found

    unknown = [np.nan] * len(species)
    latest_r2 = [one.r2 for one in history[-1].species] if history else unknown
    start = [one.allocation for one in history[0].species] if history else snapshot.allocation
    evaluations = np.array([0, *(record.evaluations for record in history), len(log)])
    made = np.zeros((len(log) + 1, len(species)))
    made[1:] = np.cumsum(log.species[:, None] == np.arange(len(species)), axis=0)
    return SpeciesInfo(
        names=tuple(species),
        evaluations=evaluations.astype(np.float64),
        made=made[evaluations],
        steers=np.array([one.evaluation for one in snapshot.interventions], dtype=np.float64),
        said=tuple(f"{one.action}: {one.detail}" for one in snapshot.interventions),
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
        stages: (label, first group, last group) of each stretch of blocks that belong together.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    ops: tuple[str, ...]
    shapes: tuple[str, ...]
    params: Floats
    macs: Floats
    groups: tuple[tuple[str, int, int], ...]
    edges: NDArray[np.int64]
    stages: tuple[tuple[str, int, int], ...] = ()


def graph_info(problem: Problem) -> GraphInfo:
    """What the graph panel shows of a problem; plain names and edges where it has no workload."""
    workload = problem.workload
    names, edges = tuple(problem.node_names), np.asarray(problem.topology)
    if workload is None:
        blank = ("",) * len(names)
        zero = np.zeros(len(names))
        kinds = tuple("activation" if name.endswith((".input", ".output")) else "weight" for name in names)
        groups = _groups(names)
        return GraphInfo(names, kinds, blank, blank, zero, zero, groups, edges, _stages(groups))
    nodes = workload.nodes
    return GraphInfo(
        names=names,
        kinds=tuple(node.kind for node in nodes),
        ops=tuple(node.op for node in nodes),
        shapes=tuple(" x ".join(map(str, node.shape)) for node in nodes),
        params=np.array([node.params for node in nodes], dtype=np.float64),
        macs=np.array([node.macs for node in nodes], dtype=np.float64),
        groups=_groups(names),
        edges=edges,
        stages=_stages(_groups(names)),
    )


def _groups(names: Sequence[str]) -> tuple[tuple[str, int, int], ...]:
    """Stretches of nodes with the same block, such as ``blocks.3``, ``layer1.0`` or ``stem``."""
    groups: list[tuple[str, int, int]] = []
    for position, name in enumerate(names):
        label = block_name(name)
        if groups and groups[-1][0] == label:
            groups[-1] = (label, groups[-1][1], position)
        else:
            groups.append((label, position, position))
    return tuple(groups)


def block_name(name: str) -> str:
    """The block that a node belongs to: its name as far as the first number, or two that follow each other.

    ``encoder.layers.encoder_layer_3.mlp.0.weight`` is in ``encoder.layers.encoder_layer_3``,
    ``features.3.conv.0.0.weight`` in ``features.3``, ``stem.conv.weight`` in ``stem``.
    """
    parts = name.split(".")
    for place, part in enumerate(parts[:-1]):
        inside = len(parts) - 1 - place  # parts that follow
        # a number in the name of the layer itself tells layers apart, not blocks
        if part.isdigit() or (part[-1:].isdigit() and (place == 0 or inside > 1)):
            following = parts[place + 1]
            second = following.isdigit() or (following[-1:].isdigit() and not part.isdigit())
            return ".".join(parts[: place + (2 if second and inside > 2 else 1)])
    return parts[0]


def _stages(groups: Sequence[tuple[str, int, int]]) -> tuple[tuple[str, int, int], ...]:
    """Stretches of blocks with the same parent, such as ``layer1``; none if there is one such parent only."""
    stages: list[tuple[str, int, int]] = []
    for group, (label, _, _) in enumerate(groups):
        parent = label.rpartition(".")[0]
        if stages and parent and stages[-1][0] == parent and stages[-1][2] == group - 1:
            stages[-1] = (parent, stages[-1][1], group)
        else:
            stages.append((parent, group, group))
    kept = tuple(stage for stage in stages if stage[2] > stage[1])
    return kept if len(kept) > 1 else ()
