"""A total order of a population by NSGA-III (Deb and Jain, 2014), by pymoo's niching."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.search.indicators import partitions_for, uniform_directions
from nemo_lab.search.native import vectors
from nemo_lab.search.normalization import Hyperplane

REMEMBERED = ("ideal_point", "worst_point", "nadir_point", "extreme_points")


@dataclass
class Nsga3Ranking:
    """Ranks whole populations, remembering ideal and extreme points between generations.

    Args:
        objectives: K.
        population: members that survive; the reference directions are at most as many.
    """

    objectives: int
    population: int
    directions: NDArray[np.float64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        partitions = partitions_for(self.objectives, self.population)
        # pymoo's compiled distance wants an array it could write to
        self.directions = uniform_directions(self.objectives, partitions).copy()
        self._normalization = Hyperplane(self.objectives)

    @property
    def memory(self) -> dict[str, Any]:
        """What is remembered between generations, to be saved; can be set."""
        kept = {name: getattr(self._normalization, name) for name in REMEMBERED}
        return {name: None if value is None else np.array(value) for name, value in kept.items()}

    @memory.setter
    def memory(self, saved: Mapping[str, Any]) -> None:
        for name in REMEMBERED:
            setattr(self._normalization, name, saved[name])

    def order(
        self,
        objectives: NDArray[np.float64],
        rng: np.random.Generator,
        penalty: NDArray[np.float64] | None = None,
    ) -> NDArray[np.intp]:
        """Row numbers from best to worst.

        Fronts come one after the other; inside a front, in the order in which NSGA-III's niching
        would pick, so that every leading part of the order is a survival NSGA-III could make.

        Args:
            objectives: float[N, K].
            rng: breaks ties between niches.
            penalty: float[N], at least 0; those above 0 come after all others, the smallest first.

        Raises:
            ArgumentError: unless all objectives are finite.
        """
        from pymoo.algorithms.moo.nsga3 import associate_to_niches, calc_niche_count, niching
        from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

        objectives = vectors("objectives", objectives, self.objectives)
        if penalty is not None and (penalty > 0).any():
            good, bad = np.flatnonzero(penalty == 0), np.flatnonzero(penalty > 0)
            best = self.order(objectives[good], rng) if len(good) else good
            apart = Nsga3Ranking(self.objectives, self.population)  # leaves our normalization alone
            quality = apart.order(objectives[bad], rng)
            worst = quality[np.argsort(penalty[bad][quality], kind="stable")]
            return np.concatenate([good[best], bad[worst]])
        fronts = [np.asarray(front) for front in NonDominatedSorting().do(objectives)]
        self._normalization.update(objectives, fronts[0])
        niche, distance, _ = associate_to_niches(
            objectives,
            self.directions,
            self._normalization.ideal_point,
            np.array(self._normalization.nadir_point),
        )
        count = calc_niche_count(len(self.directions), niche[:0])
        order: list[NDArray[np.intp]] = []
        for front in fronts:
            picked = niching(front, len(front), count, niche[front], distance[front], random_state=rng)
            order.append(front[picked])
        return np.concatenate(order)
