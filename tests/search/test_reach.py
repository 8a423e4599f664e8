"""What exact costs are found to reach: the box in which a search measures its gains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nemo_lab.search import Problem
from nemo_lab.search.reach import reachable
from tests.toy import ToyProblem

Costs = Callable[[np.ndarray], np.ndarray]
SHARES = np.array([1.0, 4.0, 2.0, 8.0, 0.5, 3.0]) / 1000


class Costly(Problem):
    """One cost of one's own beside a loss; the unit box is all that is said."""

    objective_names = ("loss", "cost")
    cost_names: tuple[str, ...] = ("cost",)
    bit_widths = (2, 3, 4, 5, 6, 7, 8)
    objective_bounds = np.array([[0.0, 0.0], [1.0, 1.0]])

    def __init__(self, cost: Costs, allowed: Any = None) -> None:
        self.cost, self.allowed = cost, allowed
        plain = ToyProblem()
        self.num_nodes, self.node_names = plain.num_nodes, plain.node_names
        self.node_features, self.edges = plain.node_features, plain.edges

    def costs(self, bits: Any) -> np.ndarray:
        return self.cost(np.asarray(bits, dtype=np.float64))[:, None]

    def evaluate(self, bits: Any) -> np.ndarray:
        return np.column_stack([1 / np.asarray(bits).sum(axis=1), self.costs(bits)])


def some(allowed: bool) -> Any:
    """Of the widths 2 to 8, the even ones for the first half of the nodes, if any are forbidden at all."""
    if not allowed:
        return None
    mask = np.ones((6, 7), dtype=bool)
    mask[:3, 1::2] = False
    return mask


@pytest.mark.parametrize(
    "cost",
    [
        lambda bits: bits @ SHARES,
        lambda bits: (33 - bits) @ SHARES,  # the narrower, the dearer
        lambda bits: np.abs(bits - 5) @ SHARES,  # dearest at the ends
        lambda bits: (bits @ SHARES) ** 2,
        lambda bits: np.maximum(bits[:, ::2], bits[:, 1::2]) @ SHARES[:3],
        lambda bits: np.where(np.arange(6) % 2, bits, 10 - bits) @ SHARES,  # every other the other way round
    ],
)
@pytest.mark.parametrize("forbidden", [False, True])
def test_it_is_what_all_configurations_reach(cost: Costs, forbidden: bool) -> None:
    problem = Costly(cost, some(forbidden))
    mask = np.ones((6, 7), dtype=bool) if problem.allowed is None else problem.allowed
    grid = np.meshgrid(*(np.flatnonzero(row) + 2 for row in mask), indexing="ij")
    every = cost(np.stack(grid, axis=-1).reshape(-1, 6).astype(np.float64))
    found = reachable(problem)
    assert np.allclose(found[:, 1], [every.min(), every.max()])
    assert np.array_equal(found[:, 0], [0, 1])  # of what is measured nobody knows


def test_what_is_stated_is_never_left() -> None:
    problem = Costly(lambda bits: bits @ SHARES)
    whole = reachable(problem)[:, 1]
    problem.objective_bounds = np.array([[0.0, whole.mean()], [1.0, 1.0]])
    assert np.allclose(reachable(problem)[:, 1], [whole.mean(), whole[1]])
    problem.objective_bounds = np.array([[0.0, 7.0], [1.0, 8.0]])  # nobody gets there
    assert np.array_equal(reachable(problem)[:, 1], [7, 8])


def test_a_cost_that_cannot_vary_and_a_problem_without_costs() -> None:
    constant = Costly(lambda bits: np.full(len(bits), 0.3))
    assert np.array_equal(reachable(constant), constant.objective_bounds)
    constant.cost_names = ()
    assert np.array_equal(reachable(constant), constant.objective_bounds)
