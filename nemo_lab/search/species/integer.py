"""The species ``integer``: the widths themselves, changed in pieces that belong together. Ours."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.choices import Ladder
from nemo_lab.search.interactions import pairs_of
from nemo_lab.search.options import SearchOptions
from nemo_lab.search.problem import Problem
from nemo_lab.search.species.base import Bits, Species
from nemo_lab.search.species.mating import partners, spread_levels
from nemo_lab.search.view import SearchView


class IntegerSpecies(Species):
    """A bit-width per node; parents also come from the front, whoever found them.

    A child takes the widths of its first parent, half of the time with a stretch of nodes from the second,
    then a few changes: one node, two that share a cost, or a stretch of the network, one level up or down
    or, rarely, at one common width.
    """

    name = "integer"
    summary = "the bit-widths themselves; crossover and mutation of nodes, pairs and stretches"

    def __init__(self, problem: Problem, options: SearchOptions) -> None:
        self.options = options
        self.widths = np.asarray(problem.bit_widths, dtype=np.uint8)
        self.nodes = problem.num_nodes
        self._ladder = Ladder(problem)
        self._problem = problem
        self._front = np.empty((0, self.nodes), dtype=np.uint8)

    @cached_property
    def pairs(self) -> NDArray[np.int64]:
        """Nodes that interact in the exact costs, int64[P, 2]: found on first use, as it takes a moment."""
        return pairs_of(self._problem)

    @cached_property
    def blocks(self) -> list[NDArray[np.intp]]:
        """These pairs, then every node that is in none."""
        alone = np.setdiff1d(np.arange(self.nodes), self.pairs)
        return [np.asarray(block, dtype=np.intp) for block in (*self.pairs, *alone[:, None])]

    def observe(self, view: SearchView) -> None:
        """Take the front as further parents."""
        self._front = view.evaluations.bits[view.front]

    def state_dict(self) -> Any:
        """Nothing: the view says it all."""
        return None

    def initial(self, count: int, rng: np.random.Generator) -> list[Bits]:
        """Mixtures around width levels."""
        levels = spread_levels(count, 0.0, len(self.widths) - 1.0, rng)
        own = levels[:, None] * (self._ladder.top / max(len(self.widths) - 1, 1))
        return list(self._ladder.bits(np.rint(own + rng.standard_normal((count, self.nodes)))))

    def offspring(self, parents: Sequence[Bits], count: int, rng: np.random.Generator) -> list[Bits]:
        """Crossover of stretches and structured mutation."""
        return [self._child(parents, rng) for _ in range(count)]

    def decode(self, genome: Bits) -> Bits:
        """The genome."""
        return genome

    def imitate(self, bits: Bits, rng: np.random.Generator) -> list[Bits]:
        """The widths themselves."""
        return list(bits.copy())

    def _child(self, parents: Sequence[Bits], rng: np.random.Generator) -> Bits:
        if len(self._front) and (not len(parents) or rng.random() < self.options.integer_front):
            one, two = (self._front[i] for i in rng.integers(len(self._front), size=2))
        else:
            one, two = (parents[i] for i in partners(len(parents), rng, self.options.mating))
        levels = self._ladder.levels(one)
        if rng.random() < self.options.integer_crossover:
            stretch = self._stretch(rng)
            levels[stretch] = self._ladder.levels(two)[stretch]
        for _ in range(rng.geometric(0.5)):
            nodes = self._piece(rng)
            if rng.random() < self.options.integer_redraw:
                common = np.full(self.nodes, rng.integers(len(self.widths)))
                levels[nodes] = self._ladder.near(common)[nodes]
            else:
                levels[nodes] += 2 * int(rng.integers(2)) - 1
        return self._ladder.bits(levels)

    def _piece(self, rng: np.random.Generator) -> NDArray[np.intp]:
        kind = rng.random()
        if kind < 0.4:
            return rng.integers(self.nodes, size=1)
        if kind < 0.7:
            return self.blocks[int(rng.integers(len(self.blocks)))]
        stretch = self._stretch(rng)
        return stretch if rng.random() < 0.5 else np.asarray(stretch[rng.random(len(stretch)) < 0.3])

    def _stretch(self, rng: np.random.Generator) -> NDArray[np.intp]:
        length = int(np.ceil(self.nodes ** rng.random()))
        start = int(rng.integers(self.nodes - length + 1))
        return np.arange(start, start + length)
