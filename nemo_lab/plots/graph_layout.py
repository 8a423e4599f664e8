"""Where the nodes of a network stand when some of its blocks are folded."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nemo_lab.plots.info import GraphInfo

Floats = NDArray[np.float64]
WEIGHT_LANE, ACTIVATION_LANE, FOLDED_LANE = 1.0, 0.0, 0.5
FOLDED_WIDTH = 2.0
SMALL = 64  # nodes of a network that is shown open
WIDE = 80.0  # units that are too many for one look: stages begin folded, too


@dataclass(frozen=True)
class Block:
    """A block of a network, by its position in ``GraphInfo.groups``."""

    position: int

    def blocks(self, info: GraphInfo) -> range:
        """Positions of the blocks in it: its own."""
        return range(self.position, self.position + 1)


@dataclass(frozen=True)
class Stage:
    """A stage of a network, by its position in ``GraphInfo.stages``."""

    position: int

    def blocks(self, info: GraphInfo) -> range:
        """Positions of the blocks in it."""
        _, first, last = info.stages[self.position]
        return range(first, last + 1)


Part = Block | Stage


def nodes_of(part: Part, info: GraphInfo) -> range:
    """The nodes of a block or a stage."""
    blocks = part.blocks(info)
    return range(info.groups[blocks[0]][1], info.groups[blocks[-1]][2] + 1)


def parts_with(nodes: Collection[int], info: GraphInfo) -> frozenset[Part]:
    """Every block and stage with at least one of these nodes in it."""
    blocks, stages = range(len(info.groups)), range(len(info.stages))
    parts: tuple[Part, ...] = (*map(Block, blocks), *map(Stage, stages))
    return frozenset(part for part in parts if any(node in nodes_of(part, info) for node in nodes))


@dataclass(frozen=True, eq=False)
class GraphLayout:
    """Places in units of one open node.

    Attributes:
        x, y: float[Q], where a node stands, or the block that it is folded into.
        block: int[Q], the part of each node.
        parts: (label, first node, last node) of each block, or of a stage that is folded.
        keys: int[P], the group that a part is or begins with.
        left, right: float[P], the ends of every part.
        folded: bool[P].
        stages: float[2, S], the ends of every stage.
        folded_stages: bool[S].
        near: int[2, E], edges drawn as lines, and
        arcs: int[2, E], as arcs: what skips ahead in a lane; each by two nodes.
        width: of everything.
    """

    x: Floats
    y: Floats
    block: NDArray[np.intp]
    parts: tuple[tuple[str, int, int], ...]
    keys: NDArray[np.int64]
    left: Floats
    right: Floats
    folded: NDArray[np.bool_]
    stages: Floats
    folded_stages: NDArray[np.bool_]
    near: NDArray[np.int64]
    arcs: NDArray[np.int64]
    width: float


def graph_layout(info: GraphInfo, folded: Collection[Part] = ()) -> GraphLayout:
    """Places of the nodes, in execution order from the left.

    Args:
        info: of the problem.
        folded: blocks and stages that take the place of two nodes, whatever is in them.
    """
    count = len(info.names)
    weight = np.array([kind == "weight" for kind in info.kinds])
    x, y = np.zeros(count), np.where(weight, WEIGHT_LANE, ACTIVATION_LANE)
    block = np.zeros(count, dtype=np.intp)
    keys, parts, closed = _parts(info, folded)
    ends = np.zeros((2, len(parts)))
    at = 0.0
    for place, (_, first, last) in enumerate(parts):
        nodes = np.arange(first, last + 1)
        block[nodes] = place
        size = FOLDED_WIDTH if closed[place] else float(len(nodes))
        ends[:, place] = at - 0.5, at + size - 0.5
        x[nodes] = at - 0.5 + size / 2 if closed[place] else at + np.arange(len(nodes))
        if closed[place]:
            y[nodes] = FOLDED_LANE
        at += size
    stages = np.array(
        [
            [ends[0, block[info.groups[first][1]]], ends[1, block[info.groups[last][2]]]]
            for _, first, last in info.stages
        ]
    )
    shut = np.array([Stage(stage) in folded for stage in range(len(info.stages))], dtype=np.bool_)
    start, end = info.edges
    shown = ~(closed[block[start]] & (block[start] == block[end]))
    edges = info.edges[:, shown]
    # two edges between the same places are one to the eye
    places = np.stack([x[edges[0]], y[edges[0]], x[edges[1]], y[edges[1]]])
    _, first_of = np.unique(places, axis=1, return_index=True)
    edges = edges[:, np.sort(first_of)]
    distance = x[edges[1]] - x[edges[0]]
    skips = (distance > FOLDED_WIDTH) & (y[edges[0]] == y[edges[1]])
    return GraphLayout(
        x, y, block, parts, keys, ends[0], ends[1], closed, stages.reshape(-1, 2).T, shut, edges[:, ~skips],
        edges[:, skips], at,
    )  # fmt: skip


def _parts(
    info: GraphInfo, folded: Collection[Part]
) -> tuple[NDArray[np.int64], tuple[tuple[str, int, int], ...], NDArray[np.bool_]]:
    """What stands side by side: the group that it begins with, label and nodes, and whether it is folded."""
    found: dict[int, tuple[tuple[str, int, int], bool]] = {}
    stages = (info.stages[part.position] for part in folded if isinstance(part, Stage))
    stage_from = {first: (label, last) for label, first, last in stages}
    group = 0
    while group < len(info.groups):
        label, first, last = info.groups[group]
        closed = Block(group) in folded
        at = group
        if group in stage_from:
            label, group = stage_from[group]
            last, closed = info.groups[group][2], True
        found[at] = (label, first, last), closed
        group += 1
    keys = np.array(list(found), dtype=np.int64)
    parts = tuple(part for part, _ in found.values())
    return keys, parts, np.array([closed for _, closed in found.values()], dtype=np.bool_)


def folded_at_first(info: GraphInfo) -> frozenset[Part]:
    """What begins folded: in a big network blocks of more than two nodes, and stages if it is still wide."""
    blocks: frozenset[Part] = frozenset()
    if len(info.names) > SMALL:
        blocks = frozenset(
            Block(group) for group, (_, first, last) in enumerate(info.groups) if last - first > 1
        )
    wide = graph_layout(info, blocks).width > WIDE
    return blocks | frozenset(map(Stage, range(len(info.stages)))) if wide else blocks
