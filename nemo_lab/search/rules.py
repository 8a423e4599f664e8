"""What a person asks of configurations: pins, constraints, and the region that the search looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bits = NDArray[np.uint8]


@dataclass(frozen=True)
class Rules:
    """The wishes in force. All ours: the paper searches without any.

    Attributes:
        pins: node -> bit-width that it has in everything evaluated from now on.
        limits: objective -> largest value allowed. The front shows what keeps them; while nothing does, what
            violates them least.
        aspiration: objective -> (low, high), the box that the search concentrates on. The front is not cut by
            it: what lies outside ranks behind what lies inside.
    """

    pins: Mapping[int, int] = field(default_factory=dict)
    limits: Mapping[int, float] = field(default_factory=dict)
    aspiration: Mapping[int, tuple[float, float]] = field(default_factory=dict)

    def apply(self, bits: Bits) -> Bits:
        """Put the pinned widths into a configuration uint8[Q], in place."""
        for node, width in self.pins.items():
            bits[node] = width
        return bits

    def pinned(self, bits: Bits) -> NDArray[np.bool_]:
        """bool[N]: which rows of uint8[N, Q] have every pinned node at its width."""
        return satisfies(bits, self.pins)

    def excess(self, objectives: Floats) -> Floats:
        """float[N]: by how much the rows of float[N, K] go beyond the limits, added up; 0 within."""
        total = np.zeros(len(objectives))
        for k, limit in self.limits.items():
            total += np.maximum(objectives[:, k] - limit, 0.0)
        return total

    def penalty(self, bits: Bits, objectives: Floats) -> Floats:
        """float[N] to rank by before quality: 0 is as wished; a broken pin weighs more than any limit."""
        total = np.where(self.pinned(bits), 0.0, 1e6) + 1e3 * self.excess(objectives)
        for k, (_, high) in self.aspiration.items():
            total += np.maximum(objectives[:, k] - high, 0.0)
        return total

    def allowed(self, widths: tuple[int, ...], nodes: int) -> NDArray[np.bool_]:
        """bool[Q, W]: which widths each node may take."""
        free = np.ones((nodes, len(widths)), dtype=bool)
        for node, width in self.pins.items():
            free[node] = np.asarray(widths) == width
        return free

    def box(self, bounds: Floats) -> Floats:
        """float[2, K]: where the search wants points: the bounds, cut by aspiration and limits."""
        box = np.array(bounds, dtype=np.float64)
        for k, (low, high) in self.aspiration.items():
            box[:, k] = np.clip((low, high), *bounds[:, k])
        for k, limit in self.limits.items():
            box[1, k] = max(min(box[1, k], limit), box[0, k])
        return box


def satisfies(bits: Bits, pins: Mapping[int, int]) -> NDArray[np.bool_]:
    """bool[N]: which rows of bits[N, Q] have every pinned node at its width."""
    nodes = np.fromiter(pins.keys(), dtype=np.intp, count=len(pins))
    widths = np.fromiter(pins.values(), dtype=np.uint8, count=len(pins))
    return np.asarray((bits[:, nodes] == widths).all(axis=1))
