"""The species ``continuous`` and ``floor``: one real number per node (docs/method.md, section 4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nemo_lab.choices import Ladder, ends
from nemo_lab.search.options import SearchOptions
from nemo_lab.search.problem import Problem
from nemo_lab.search.species.base import Bits, Species
from nemo_lab.search.species.mating import partners, spread_levels

Reals = NDArray[np.float64]


class ContinuousSpecies(Species):
    """A real in [min B, max B] per node, rounded to the nearest allowed bit-width."""

    name = "continuous"
    summary = "one real number per node, rounded to the nearest bit-width; SBX and polynomial mutation"

    def __init__(self, problem: Problem, options: SearchOptions) -> None:
        self.options = options
        self.widths = np.asarray(problem.bit_widths, dtype=np.float64)
        self.low, self.high = ends(problem).astype(np.float64)
        self._ladder = Ladder(problem)
        self._edges = (self.widths[1:] + self.widths[:-1]) / 2

    def initial(self, count: int, rng: np.random.Generator) -> list[Reals]:
        """Uniform over the box, or around width levels spread over it."""
        if self.options.start == "random":
            return list(rng.uniform(self.low, self.high, size=(count, len(self.low))))
        levels = spread_levels(count, self.widths[0], self.widths[-1], rng)
        around = self._scaled(levels) + rng.standard_normal((count, len(self.low)))
        return list(np.clip(around, self.low, self.high))

    def offspring(self, parents: Sequence[Reals], count: int, rng: np.random.Generator) -> list[Reals]:
        """Bounded SBX of random pairs, then bounded polynomial mutation (Deb), by pymoo."""
        from pymoo.operators.crossover.sbx import cross_sbx
        from pymoo.operators.mutation.pm import mut_pm

        matings = -(-count // 2)
        pairs = np.stack([partners(len(parents), rng, self.options.mating) for _ in range(matings)])
        genomes = np.asarray(parents)[pairs.T]
        children = cross_sbx(
            genomes,
            self.low,
            self.high,
            eta=np.full((matings, 1), self.options.sbx_eta),
            prob_var=self.options.sbx_prob_var,
            prob_bin=np.full((matings, 1), 0.5),
            random_state=rng,
        )
        children = children.transpose(1, 0, 2).reshape(-1, len(self.low))[:count]
        return list(
            mut_pm(
                children,
                self.low,
                self.high,
                eta=np.full(count, self.options.pm_eta),
                prob=np.full(count, 1.0 / len(self.low)),
                at_least_once=False,
                random_state=rng,
            )
        )

    def decode(self, genome: Reals) -> Bits:
        """The nearest allowed bit-width."""
        positions = np.searchsorted(self._edges, genome, side="right")
        return self._ladder.bits(self._ladder.near(positions))

    def imitate(self, bits: Bits, rng: np.random.Generator) -> list[Reals]:
        """The widths themselves."""
        return list(bits.astype(np.float64))

    def _scaled(self, levels: Reals) -> Reals:
        """Levels float[N] between the lowest and the highest width, float[N, Q] between each node's own."""
        low, high = self.widths[0], self.widths[-1]
        part = (self.high - self.low) / max(high - low, 1.0)
        whole = (self.low == low) & (self.high == high)
        return np.where(whole, levels[:, None], self.low + (levels[:, None] - low) * part)


class FloorSpecies(ContinuousSpecies):
    """The same genome, decoded to the nearest allowed bit-width below: leans to compression."""

    name = "floor"
    summary = "the same genome, rounded down: leans to compression"

    def decode(self, genome: Reals) -> Bits:
        """The nearest allowed bit-width that is not above."""
        positions = np.searchsorted(self.widths, genome, side="right") - 1
        return self._ladder.bits(self._ladder.below(positions))

    def imitate(self, bits: Bits, rng: np.random.Generator) -> list[Reals]:
        """The middle of each width's interval, so that a small mutation does not fall out of it."""
        upper = np.append(self.widths[1:], self.widths[-1])
        index = np.searchsorted(self.widths, bits)
        return list(np.clip((self.widths[index] + upper[index]) / 2, self.low, self.high))
