"""Wider where it costs nothing: an activation narrower than its layer's weights saves no bit-operation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nemo_lab.search.problem import Problem, exact_costs, exact_neighbours

Bits = NDArray[np.uint8]
Floats = NDArray[np.float64]


def lift(bits: Bits, problem: Problem, allowed: NDArray[np.bool_]) -> Bits:
    """The configuration with every node as wide as all exact costs permit without growing; ours.

    Args:
        bits: uint8[Q].
        problem: whose ``costs`` do not fall when a node grows.
        allowed: bool[Q, W], the widths that each node may take.
    """
    widths = np.array(problem.bit_widths, dtype=np.uint8)
    wider = allowed & (widths > bits[:, None])
    if not problem.cost_names or not wider.any():
        return bits
    paid, alone = costs_alone(problem, bits, wider)
    free = wider & (alone <= paid[:, None, None]).all(axis=0)
    nodes, positions = np.nonzero(free)
    lifted = bits.copy()
    lifted[nodes] = widths[positions]  # of several widths of a node the last and widest stays
    if bool((exact_costs(problem, lifted[None])[0] <= paid).all()):
        return lifted
    lifted = bits.copy()  # free one by one, not together
    for node in np.unique(nodes):
        for width in widths[free[node]][::-1]:
            one = lifted.copy()
            one[node] = width
            if bool((exact_costs(problem, one[None])[0] <= paid).all()):
                lifted = one
                break
    return lifted


def costs_alone(problem: Problem, bits: Bits, wanted: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Costs of a configuration, and of those that differ from it in one node.

    Asks the problem's ``neighbour_costs(bits)`` -> float[C, Q, W] if it has that method, and evaluates
    whole configurations by ``costs`` if not.

    Args:
        problem: with ``costs``, uint8[N, Q] -> float[N, C].
        bits: uint8[Q].
        wanted: bool[Q, W], which nodes at which widths are asked for.

    Returns:
        float[C], and float[C, Q, W] of which the wanted entries count.
    """
    near = exact_neighbours(problem, bits)
    if near is not None:
        return exact_costs(problem, bits[None])[0], near
    nodes, positions = np.nonzero(wanted)
    rows = np.repeat(bits[None], len(nodes) + 1, axis=0)
    rows[np.arange(len(nodes)), nodes] = np.array(problem.bit_widths, dtype=np.uint8)[positions]
    costs = exact_costs(problem, rows)
    alone = np.full((costs.shape[1], *wanted.shape), np.inf)
    alone[:, nodes, positions] = costs[:-1].T
    return costs[-1], alone
