"""What the soak searches: cheap, with few widths, and unreliable where it is told to be."""

from __future__ import annotations

import random
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

import nemo_lab as nl
from nemo_lab.search import Problem

NODES = 10


class Rough(Problem):
    """Ten nodes of four widths, so that species often come upon the same configuration.

    Attributes:
        seconds: that an evaluation takes.
        raises, spoils: how probable it is that one raises, or returns what is not a number.
    """

    num_nodes = NODES
    node_names = tuple(f"block{i // 2}.{'weight' if i % 2 else 'input'}" for i in range(NODES))
    bit_widths = (2, 3, 4, 8)
    objective_names = ("loss", "size", "work")
    cost_names = ("size", "work")

    def __init__(self) -> None:
        rng = np.random.default_rng(7)
        order = np.arange(NODES, dtype=np.int64)
        self.node_features = rng.random((NODES, 5)).astype(np.float32)
        self.edges = np.stack([order[:-1], order[1:]])
        self.damage = rng.random(NODES) ** 3 + 0.02
        self.weights = rng.random(NODES) + 0.1
        self.seconds = 0.002
        self.raises = self.spoils = 0.0

    def fingerprint(self) -> dict[str, str]:
        """How long it takes and how often it fails are attributes that change no result."""
        return {**super().fingerprint(), "code": "rough"}

    @property
    def objective_bounds(self) -> NDArray[np.float64]:
        """Those of no damage and much, and of the narrowest and the widest configuration."""
        low, high = (np.full((1, NODES), width) for width in (self.bit_widths[0], self.bit_widths[-1]))
        return np.array([[0.0, *self.costs(low)[0]], [1.0, *self.costs(high)[0]]])

    def costs(self, bits: Any) -> NDArray[np.float64]:
        """A weighted sum of the widths, and one of the products of neighbours."""
        rows = np.atleast_2d(np.asarray(bits, dtype=np.float64))
        size = (rows * self.weights).sum(axis=1) / self.weights.sum() / 32
        work = (rows * np.roll(rows, 1, axis=1)).sum(axis=1) / NODES / 1024
        return np.column_stack([size, work])

    def evaluate(self, bits: Any) -> NDArray[np.float64]:
        """All objectives, after a moment; unless this is one of the times that go wrong."""
        nl.check_interrupted()
        if self.seconds:
            time.sleep(self.seconds)
        if random.random() < self.raises:
            raise OSError("the accelerator went away")
        rows = np.atleast_2d(np.asarray(bits, dtype=np.float64))
        loss = (self.damage * 2.0 ** (2.0 - rows)).sum(axis=1) / self.damage.sum()
        if random.random() < self.spoils:
            loss = loss * np.nan
        return np.column_stack([loss, self.costs(rows)])
