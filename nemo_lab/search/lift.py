"""Wider where it costs nothing: an activation narrower than its layer's weights saves no bit-operation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint8]


def lift(
    bits: Bits,
    widths: tuple[int, ...],
    allowed: NDArray[np.bool_],
    costs: Callable[[Bits], NDArray[np.float64]],
) -> Bits:
    """The configuration with every node as wide as all costs permit without growing; ours.

    Args:
        bits: uint8[Q].
        widths: ascending, W of them.
        allowed: bool[Q, W].
        costs: exact costs, uint8[N, Q] -> float[N, C], none of which falls when a node grows.
    """
    wider = allowed & (np.asarray(widths) > bits[:, None])
    nodes, positions = np.nonzero(wider)
    if len(nodes) == 0:
        return bits
    trial = np.repeat(bits[None], len(nodes) + 1, axis=0)
    trial[np.arange(len(nodes)), nodes] = np.asarray(widths, dtype=np.uint8)[positions]
    paid = costs(trial)
    free = (paid[:-1] <= paid[-1]).all(axis=1)
    lifted = bits.copy()
    np.maximum.at(lifted, nodes[free], trial[:-1][free, nodes[free]])
    if bool((costs(lifted[None])[0] <= paid[-1]).all()):
        return lifted
    lifted = bits.copy()  # free one by one, not together
    for node in np.unique(nodes[free]):
        for width in sorted({int(w) for w in trial[:-1][free & (nodes == node), node]}, reverse=True):
            one = lifted.copy()
            one[node] = width
            if bool((costs(one[None])[0] <= paid[-1]).all()):
                lifted = one
                break
    return lifted
