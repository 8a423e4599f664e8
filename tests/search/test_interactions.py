"""Pairs of nodes that interact, found by asking for costs, against what is known of the costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nemo_lab as nl
from nemo_lab.problem import Problem
from nemo_lab.search.interactions import MOST, interacting

Levels = np.ndarray
WIDTHS = np.arange(2, 9)


class Costs:
    """Unary costs, and pairwise tables of some pairs; counts what is asked."""

    def __init__(self, nodes: int, pairs: list[tuple[int, int]], table: Any, widths: int = 4) -> None:
        self.rng = np.random.default_rng(nodes)
        self.unary = self.rng.normal(size=(nodes, widths))
        self.pairs = {pair: np.asarray(table(self.rng, widths), dtype=float) for pair in pairs}
        self.asked = 0

    def __call__(self, levels: Levels) -> np.ndarray:
        self.asked += len(levels)
        total = self.unary[np.arange(levels.shape[1]), levels].sum(axis=1)
        for (a, b), table in self.pairs.items():
            total = total + table[levels[:, a], levels[:, b]]
        return np.stack([total, np.full(len(levels), 3.0)], axis=1)


def drawn(rng: np.random.Generator, widths: int) -> np.ndarray:
    return rng.normal(size=(widths, widths))


def widest(rng: np.random.Generator, widths: int) -> np.ndarray:
    return np.maximum(*np.indices((widths, widths)))


def both_at(level: int) -> Any:
    """Something special where both have one width: kernels for 4 bits, say."""

    def table(rng: np.random.Generator, widths: int) -> np.ndarray:
        found = np.zeros((widths, widths))
        found[level, level] = -1.0
        return found

    return table


PAIRS = {
    "none": [],
    "chain": [(q, q + 1) for q in range(29)],
    "one far": [(0, 29)],
    "star": [(7, q) for q in range(30) if q != 7],
    "every third": [(a, b) for a in range(0, 30, 3) for b in range(a + 3, 30, 3)],
}


@pytest.mark.parametrize("table", [drawn, widest, both_at(1), both_at(3)])
@pytest.mark.parametrize("name", PAIRS)
def test_all_pairs_are_found_and_no_others(name: str, table: Any) -> None:
    costs = Costs(30, sorted((min(pair), max(pair)) for pair in PAIRS[name]), table)
    found = [tuple(pair) for pair in interacting(costs, 30, 4)]
    assert found == sorted(costs.pairs, key=lambda pair: pair[::-1])


@pytest.mark.parametrize("name", ["digits", "fashion", "text"])
@pytest.mark.parametrize("bitops", ["max", "product"])
def test_of_networks_they_are_the_operands_of_layers(name: str, bitops: Any) -> None:
    workload = nl.load_workload(name)
    model = nl.CostModel(workload, bitops)
    found = interacting(lambda rows: model.evaluate(WIDTHS[rows]), len(workload.nodes), 7)
    operands = {tuple(sorted({q for q in layer.operands if q is not None})) for layer in workload.layers}
    assert {tuple(pair) for pair in found.tolist()} == {pair for pair in operands if len(pair) == 2}


def test_a_sparse_structure_takes_few_questions() -> None:
    costs = Costs(244, [(q, q + 1) for q in range(0, 243, 2)], widest, widths=7)
    assert len(interacting(costs, 244, 7)) == 122
    assert costs.asked < 244 * 243 / 2  # as many as there are pairs


def test_where_everything_interacts_it_ends() -> None:
    asked = 0

    def costs(levels: Levels) -> np.ndarray:
        nonlocal asked
        asked += len(levels)
        return np.sqrt(1.0 + levels.sum(axis=1, dtype=float))[:, None]

    interacting(costs, 400, 7)
    assert asked < 3 * MOST
    assert len(interacting(costs, 12, 7)) == 66


@pytest.mark.parametrize(("nodes", "widths"), [(1, 7), (2, 1), (5, 1)])
def test_there_may_be_nothing_to_find(nodes: int, widths: int) -> None:
    assert interacting(lambda levels: np.zeros((len(levels), 1)), nodes, widths).shape == (0, 2)
    assert interacting(lambda levels: np.zeros((len(levels), 0)), nodes, widths).shape == (0, 2)


class Bare(Problem):
    """The same as another problem, of which nobody knows a network, nor what it reaches."""

    def __init__(self, of: Problem) -> None:
        self.of = of
        for name in (
            "num_nodes", "node_names", "bit_widths", "objective_names", "node_features", "edges",
            "cost_names",
        ):  # fmt: skip
            setattr(self, name, getattr(of, name))

    def evaluate(self, bits: Any) -> np.ndarray:
        return self.of.evaluate(bits)

    def costs(self, bits: Any) -> np.ndarray:
        return self.of.costs(bits)


def test_a_bare_problem_is_searched_as_one_with_a_network() -> None:
    whole = nl.QuantizationProblem(nl.load_workload("digits"))
    whole.sensitivity = None  # type: ignore[assignment, method-assign]
    known, bare = (nl.create_study(one, seed=3).optimize(60, progress=False) for one in (whole, Bare(whole)))
    assert np.array_equal(known.snapshot.evaluations.bits, bare.snapshot.evaluations.bits)
