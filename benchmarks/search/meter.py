"""The one evaluator all methods share: it counts, times and records every call, and keeps no cache."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.search.foresight import COST
from nemo_lab.search import Problem
from nemo_lab.search.indicators import hypervolume
from nemo_lab.search.problem import bounds_of


class BudgetSpentError(Exception):
    """A method asked for one evaluation more than it may have."""


class Meter(Problem):
    """A problem that evaluates one configuration at a time, up to a budget.

    A sensitivity that is asked for counts as ``COST`` evaluations, the first.

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
        self._charged = 0
        if problem.sensitivity is not None:
            self.sensitivity = self._sensitivity

    def __len__(self) -> int:
        return self._charged + len(self.bits)

    def _sensitivity(self) -> Any:
        self._charged = COST
        return self.problem.sensitivity()

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
        measured = self.objectives[: max(evaluations - self._charged, 0)]
        return hypervolume(np.array(measured), self.objective_bounds) if measured else 0.0

    @property
    def distinct(self) -> int:
        """Different configurations among those evaluated."""
        return len({row.tobytes() for row in self.bits})
