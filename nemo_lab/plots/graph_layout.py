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


@dataclass(frozen=True, eq=False)
class GraphLayout:
    """Places in units of one open node.

    Attributes:
        x, y: float[Q], where a node stands, or the block that it is folded into.
        block: int[Q], the group of each node.
        left, right: float[G], the ends of every group.
        folded: bool[G].
        near: int[2, E], edges drawn as lines, and
        arcs: int[2, E], as arcs: what skips ahead in a lane; each by two nodes.
        width: of everything.
    """

    x: Floats
    y: Floats
    block: NDArray[np.intp]
    left: Floats
    right: Floats
    folded: NDArray[np.bool_]
    near: NDArray[np.int64]
    arcs: NDArray[np.int64]
    width: float


def graph_layout(info: GraphInfo, folded: Collection[int] = ()) -> GraphLayout:
    """Places of the nodes, in execution order from the left.

    Args:
        info: of the problem.
        folded: groups that take the place of two nodes, whatever is in them.
    """
    count = len(info.names)
    weight = np.array([kind == "weight" for kind in info.kinds])
    x, y = np.zeros(count), np.where(weight, WEIGHT_LANE, ACTIVATION_LANE)
    block = np.zeros(count, dtype=np.intp)
    ends = np.zeros((2, len(info.groups)))
    at = 0.0
    for group, (_, first, last) in enumerate(info.groups):
        nodes = np.arange(first, last + 1)
        block[nodes] = group
        shut = group in folded
        size = FOLDED_WIDTH if shut else float(len(nodes))
        ends[:, group] = at - 0.5, at + size - 0.5
        x[nodes] = at - 0.5 + size / 2 if shut else at + np.arange(len(nodes))
        if shut:
            y[nodes] = FOLDED_LANE
        at += size
    closed = np.isin(np.arange(len(info.groups)), list(folded))
    start, end = info.edges
    shown = ~(closed[block[start]] & (block[start] == block[end]))
    edges = info.edges[:, shown]
    # two edges between the same places are one to the eye
    places = np.stack([x[edges[0]], y[edges[0]], x[edges[1]], y[edges[1]]])
    _, first_of = np.unique(places, axis=1, return_index=True)
    edges = edges[:, np.sort(first_of)]
    distance = x[edges[1]] - x[edges[0]]
    skips = (distance > FOLDED_WIDTH) & (y[edges[0]] == y[edges[1]])
    return GraphLayout(x, y, block, ends[0], ends[1], closed, edges[:, ~skips], edges[:, skips], at)


def folded_at_first(info: GraphInfo) -> frozenset[int]:
    """Groups that a big network begins with folded: those of more than two nodes."""
    if len(info.names) <= SMALL:
        return frozenset()
    return frozenset(group for group, (_, first, last) in enumerate(info.groups) if last - first > 1)
