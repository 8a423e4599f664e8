"""Numba kernels of coordinate descent over unary and pairwise tables.

Known as iterated conditional modes, ICM (Besag 1986): one node after the other takes the width that is best
given all others. Here a node moves together with its partners: for each of its widths every partner answers
with its own best, which is exact where partners share no pair.

The tables of a state are unary float[Q, W], of a node at a width, and pairwise float[C, E, W, W], weighed by
the state's prices float[C]; for ``starts`` and ``partners`` see ``PairwiseCosts``.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Levels = NDArray[np.uint8]


@njit(nogil=True)  # type: ignore[untyped-decorator]
def _condition(
    node: int, but: int, unary: Floats, pairwise: Floats, prices: Floats, starts: Integers,
    partners: Integers, allowed: NDArray[np.bool_], levels: Levels, out: Floats,
) -> None:  # fmt: skip
    """What a node costs at each width, its partners but ``but`` as they are: to ``out`` [W]."""
    for w in range(len(out)):
        out[w] = unary[node, w] if allowed[node, w] else np.inf
    for entry in range(starts[node], starts[node + 1]):
        partner = partners[entry]
        if partner != but:
            for w in range(len(out)):
                for c in range(len(prices)):
                    out[w] += prices[c] * pairwise[c, entry, w, levels[partner]]


@njit(nogil=True)  # type: ignore[untyped-decorator]
def _answer(
    entry: int, partner_costs: Floats, pairwise: Floats, prices: Floats, total: Floats, answers: Levels
) -> None:
    """A partner's best width for each width of a node, to ``answers`` [W]; its cost is added to ``total``."""
    for w in range(len(total)):
        lowest = np.inf
        for answer in range(len(partner_costs)):
            cost = partner_costs[answer]
            for c in range(len(prices)):
                cost += prices[c] * pairwise[c, entry, w, answer]
            if cost < lowest:
                lowest, answers[w] = cost, answer
        total[w] += lowest


@njit(nogil=True)  # type: ignore[untyped-decorator]
def _move(
    node: int, unary: Floats, pairwise: Floats, prices: Floats, starts: Integers, partners: Integers,
    allowed: NDArray[np.bool_], levels: Levels, total: Floats, partner_costs: Floats, answers: Levels,
) -> bool:  # fmt: skip
    """A node takes its best width and its partners their answers; returns whether any changed."""
    first, last = starts[node], starts[node + 1]
    total[:] = unary[node]
    for entry in range(first, last):
        _condition(
            partners[entry], node, unary, pairwise, prices, starts, partners, allowed, levels, partner_costs
        )
        _answer(entry, partner_costs, pairwise, prices, total, answers[entry - first])
    best, lowest = levels[node], np.inf
    for w in range(len(total)):
        if allowed[node, w] and total[w] < lowest:
            best, lowest = w, total[w]
    changed = best != levels[node]
    levels[node] = best
    for entry in range(first, last):
        answer = answers[entry - first, best]
        changed |= answer != levels[partners[entry]]
        levels[partners[entry]] = answer
    return bool(changed)


@njit(
    "void(f8[:,:,::1], f8[:,:,:,::1], f8[:,::1], i8[::1], i8[::1], b1[:,::1], u1[:,::1], i8)",
    cache=True,
    nogil=True,
)  # type: ignore[untyped-decorator]
def descend(
    unary: Floats,
    pairwise: Floats,
    prices: Floats,
    starts: Integers,
    partners: Integers,
    allowed: NDArray[np.bool_],
    levels: Levels,
    sweeps: int,
) -> None:
    """Lower the sum of unary and priced pairwise tables of S states, in place.

    Args:
        unary: float[S, Q, W], prices included.
        pairwise, starts, partners: see ``PairwiseCosts``.
        prices: float[S, C].
        allowed: bool[Q, W].
        levels: uint8[S, Q], positions of widths, changed.
        sweeps: over all nodes, at most.
    """
    states, nodes, widths = unary.shape
    total, partner_costs = np.empty(widths), np.empty(widths)
    answers = np.zeros((np.diff(starts).max(), widths), dtype=np.uint8)
    for s in range(states):
        for _ in range(sweeps):
            changed = False
            for node in range(nodes):
                changed |= _move(
                    node, unary[s], pairwise, prices[s], starts, partners,
                    allowed, levels[s], total, partner_costs, answers,
                )  # fmt: skip
            if not changed:
                break
