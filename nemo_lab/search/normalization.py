"""Where the normalised objective space of NSGA-III begins and ends (Deb and Jain, 2014, section IV-C)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEAST = 1e-6  # the smallest range of an objective

Floats = NDArray[np.float64]


class Hyperplane:
    """Ideal and nadir point, by the hyperplane through the extreme points, from generation to generation.

    The same as pymoo's ``HyperplaneNormalization``, which turns all warnings of the process off, for good.

    Args:
        objectives: K.

    Attributes:
        ideal_point: float64[K], the best ever seen in each objective.
        worst_point: float64[K], the worst ever seen.
        nadir_point: float64[K], where the hyperplane meets the axes; None before the first generation.
        extreme_points: float64[K, K], a row for each axis; None before the first generation.
    """

    def __init__(self, objectives: int) -> None:
        self.ideal_point: Floats = np.full(objectives, np.inf)
        self.worst_point: Floats = np.full(objectives, -np.inf)
        self.nadir_point: Floats | None = None
        self.extreme_points: Floats | None = None

    def update(self, objectives: Floats, front: NDArray[np.intp]) -> None:
        """Take a generation in.

        Args:
            objectives: float64[N, K].
            front: rows that nobody dominates.
        """
        from pymoo.algorithms.moo.nsga3 import get_extreme_points_c

        self.ideal_point = np.min(np.vstack((self.ideal_point, objectives)), axis=0)
        self.worst_point = np.max(np.vstack((self.worst_point, objectives)), axis=0)
        best = objectives[front]
        extremes: Floats = get_extreme_points_c(best, self.ideal_point, extreme_points=self.extreme_points)
        nadir = self._intercepts(extremes)
        if nadir is None:
            nadir = best.max(axis=0)
        narrow = nadir - self.ideal_point <= LEAST
        self.extreme_points = extremes
        self.nadir_point = np.where(narrow, objectives.max(axis=0), nadir)

    def _intercepts(self, extremes: Floats) -> Floats | None:
        """Where the hyperplane meets the axes, at most the worst point; None if it makes no sense."""
        sides = extremes - self.ideal_point
        ones = np.ones(len(self.ideal_point))
        try:
            plane = np.linalg.solve(sides, ones)
        except np.linalg.LinAlgError:
            return None
        with np.errstate(all="ignore"):
            intercepts = 1 / plane
            if not np.allclose(sides @ plane, ones) or (intercepts <= LEAST).any():
                return None
        return np.minimum(self.ideal_point + intercepts, self.worst_point)
