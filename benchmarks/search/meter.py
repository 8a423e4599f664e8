"""The one evaluator all methods share: it counts, times and records every call, and keeps no cache."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.search import Problem
from nemo_lab.search.indicators import hypervolume
from nemo_lab.search.problem import bounds_of


class BudgetSpentError(Exception):
    """A method asked for one evaluation more than it may have."""


class Meter(Problem):
    """A problem that evaluates one configuration at a time, up to a budget.

    Attributes:
        seconds: wall time inside the evaluator.
        bits: every configuration evaluated, in order, repeated ones too.
        objectives: their objectives.
    """

    def __init__(self, problem: Any, budget: int) -> None:
        self.problem = problem
        self.budget = budget
        self.seconds = 0.0
        self.bits: list[NDArray[np.uint8]] = []
        self.objectives: list[NDArray[np.float64]] = []
        self.num_nodes = problem.num_nodes
        self.node_names = problem.node_names
        self.bit_widths = problem.bit_widths
        self.objective_names = problem.objective_names
        self.node_features = problem.node_features
        self.edges = problem.edges
        self.workload = problem.workload
        self.objective_bounds = bounds_of(problem)
        self.cost_names = problem.cost_names
        self.costs = problem.costs  # exact, and free of charge
        self.neighbour_costs = problem.neighbour_costs

    def __len__(self) -> int:
        return len(self.bits)

    def evaluate(self, bits: Any) -> NDArray[np.float64]:
        """Objectives of configurations: integers[N, Q] -> float64[N, K].

        Raises:
            BudgetSpentError: at the first configuration that the budget does not cover.
        """
        rows = np.atleast_2d(np.asarray(bits, dtype=np.uint8))
        for row in rows:
            if len(self) >= self.budget:
                raise BudgetSpentError
            began = time.perf_counter()
            objectives = self.problem.evaluate(row)[0]
            self.seconds += time.perf_counter() - began
            self.bits.append(row.copy())
            self.objectives.append(objectives)
        return np.array(self.objectives[-len(rows) :])

    def hypervolume(self, evaluations: int) -> float:
        """Normalised hypervolume of the first ``evaluations`` evaluations."""
        return hypervolume(np.array(self.objectives[:evaluations]), self.objective_bounds)

    @property
    def distinct(self) -> int:
        """Different configurations among those evaluated."""
        return len({row.tobytes() for row in self.bits})
