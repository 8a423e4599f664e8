"""Exact costs, learnt by asking: a part for each node, and a part for each two nodes of one layer. Ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Levels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class PairwiseCosts:
    """What C costs are made of, up to a constant.

    Exact for costs that are sums over nodes and over pairs of one block, as model size, tables and
    bit-operations are; for others the best of that form around the lowest widths.

    Attributes:
        each: float[C, Q, W], of a node at a width.
        pairs: int[P, 2], nodes.
        both: float[C, P, W, W], of two nodes together, beside what each costs.
        starts, partners, which: neighbours of node q are ``partners[starts[q]:starts[q + 1]]``, each by the
            pair ``which``; if q is the second of that pair it is ~pair.
    """

    each: Floats
    pairs: NDArray[np.int64]
    both: Floats
    starts: NDArray[np.int64]
    partners: NDArray[np.int64]
    which: NDArray[np.int64]


def probe(
    costs: Callable[[Levels], Floats], nodes: int, widths: int, blocks: Sequence[Sequence[int]]
) -> PairwiseCosts:
    """Take costs, uint8[N, Q] -> float[N, C], apart: around all nodes at their lowest width."""
    base = np.zeros((1, nodes), dtype=np.uint8)
    ground = costs(base)[0]
    rows = np.repeat(base, nodes * widths, axis=0)
    rows[np.arange(nodes * widths), np.repeat(np.arange(nodes), widths)] = np.tile(np.arange(widths), nodes)
    each = (costs(rows) - ground).T.reshape(-1, nodes, widths)

    pairs = np.array(
        sorted({pair for block in blocks for pair in combinations(sorted(block), 2)}), dtype=np.int64
    ).reshape(-1, 2)
    both = np.zeros((len(ground), len(pairs), widths, widths))
    grid = np.indices((widths, widths)).reshape(2, -1).T.astype(np.uint8)
    for p, pair in enumerate(pairs):
        rows = np.repeat(base, len(grid), axis=0)
        rows[:, pair] = grid
        together = (costs(rows) - ground).T.reshape(-1, widths, widths)
        both[:, p] = together - each[:, pair[0], :, None] - each[:, pair[1], None, :]
    kept = np.flatnonzero(np.abs(both).max(axis=(0, 2, 3), initial=0.0) > 1e-12)
    return _linked(each, pairs[kept], both[:, kept], nodes)


def _linked(each: Floats, pairs: NDArray[np.int64], both: Floats, nodes: int) -> PairwiseCosts:
    own = np.concatenate([pairs[:, 0], pairs[:, 1]])
    other = np.concatenate([pairs[:, 1], pairs[:, 0]])
    which = np.concatenate([np.arange(len(pairs)), ~np.arange(len(pairs))])
    order = np.argsort(own, kind="stable")
    starts = np.searchsorted(own[order], np.arange(nodes + 1)).astype(np.int64)
    return PairwiseCosts(each, pairs, np.ascontiguousarray(both), starts, other[order], which[order])
