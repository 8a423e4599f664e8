"""Exact costs as unary tables of nodes and pairwise tables of nodes that interact. Ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Levels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class PairwiseCosts:
    """What C costs are made of, up to a constant: unary and pairwise tables, as of a Markov random field.

    Exact for costs that are sums over nodes and over pairs of them, as model size, tables and bit-operations
    are; for others the best of that form around the lowest widths.

    Each pair is listed twice, once from either node: entries ``starts[q]`` to ``starts[q + 1]`` are the
    pairs of node q.

    Attributes:
        unary: float[C, Q, W], of a node at a width.
        starts: int64[Q + 1].
        partners: int64[E], the other node of an entry.
        pairwise: float[C, E, W, W], of both nodes together beside what each costs: by the width of q, then
            by the width of its partner.
    """

    unary: Floats
    starts: NDArray[np.int64]
    partners: NDArray[np.int64]
    pairwise: Floats


def probe(
    costs: Callable[[Levels], Floats], nodes: int, widths: int, pairs: NDArray[np.int64]
) -> PairwiseCosts:
    """Take costs, uint8[N, Q] -> float[N, C], apart: around all nodes at their lowest width.

    Args:
        costs: of positions of widths.
        nodes: Q.
        widths: W.
        pairs: int64[P, 2], which nodes interact; see ``interacting``.
    """
    base = np.zeros((1, nodes), dtype=np.uint8)
    ground = costs(base)[0]
    rows = np.repeat(base, nodes * widths, axis=0)
    rows[np.arange(nodes * widths), np.repeat(np.arange(nodes), widths)] = np.tile(np.arange(widths), nodes)
    unary = (costs(rows) - ground).T.reshape(-1, nodes, widths)

    pairs = pairs[np.lexsort(pairs.T[::-1])]
    pairwise = np.zeros((len(ground), len(pairs), widths, widths))
    grid = np.indices((widths, widths)).reshape(2, -1).T.astype(np.uint8)
    for p, pair in enumerate(pairs):
        rows = np.repeat(base, len(grid), axis=0)
        rows[:, pair] = grid
        together = (costs(rows) - ground).T.reshape(-1, widths, widths)
        pairwise[:, p] = together - unary[:, pair[0], :, None] - unary[:, pair[1], None, :]
    kept = np.flatnonzero(np.abs(pairwise).max(axis=(0, 2, 3), initial=0.0) > 1e-12)
    return _from_either_node(unary, pairs[kept], pairwise[:, kept])


def _from_either_node(unary: Floats, pairs: NDArray[np.int64], pairwise: Floats) -> PairwiseCosts:
    """List pairs int64[P, 2] with tables float[C, P, W, W] from the first node, and from the second."""
    own = np.concatenate([pairs[:, 0], pairs[:, 1]])
    other = np.concatenate([pairs[:, 1], pairs[:, 0]])
    tables = np.concatenate([pairwise, pairwise.swapaxes(2, 3)], axis=1)
    order = np.argsort(own, kind="stable")
    starts = np.searchsorted(own[order], np.arange(unary.shape[1] + 1)).astype(np.int64)
    return PairwiseCosts(unary, starts, other[order], np.ascontiguousarray(tables[:, order]))
