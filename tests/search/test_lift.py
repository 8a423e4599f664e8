"""Widening what is free: nothing gets dearer, pins stay, and nothing that is free is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nemo_lab import CostModel, Workload
from nemo_lab.cost.model import BitOps
from nemo_lab.search.constraints import Constraints
from nemo_lab.search.lift import lift
from tests.cost.build import node, workload
from tests.search.test_engine import make_engine, run
from tests.toy import ToyProblem

WIDTHS = (2, 3, 4, 5, 6, 7, 8)
MODELS = get_args(BitOps)
Costs = Callable[[Any], np.ndarray]


def shared() -> Workload:
    """Activation 0 is read by weights 1 and 2, 3 by weight 4 and with 0; 5 by nobody."""
    nodes = [node(0), node(1, params=30), node(2, params=7), node(3), node(4, params=11), node(5)]
    return workload(nodes, [((1, 0), 100), ((2, 0), 33), ((4, 3), 50), ((0, 3), 9)])


def check(
    bits: np.ndarray, pins: dict[int, int], costs: Costs, widths: tuple[int, ...] = WIDTHS
) -> np.ndarray:
    """Lift, and hold the result against the definition, one node and one width at a time."""
    rules = Constraints(pins=pins)
    bits = rules.apply(bits.astype(np.uint8))
    before = bits.copy()
    allowed = rules.allowed(widths, len(bits))
    lifted = lift(bits, widths, allowed, costs)
    assert bits.tolist() == before.tolist(), "what was given has changed"
    assert lifted.dtype == np.uint8
    assert np.isin(lifted, widths).all()
    assert (lifted >= before).all()
    assert all(lifted[n] == width for n, width in pins.items())
    paid = costs(before[None])[0]
    assert (costs(lifted[None])[0] <= paid).all()
    for n in set(range(len(bits))) - set(pins):
        for width in widths:
            if width > lifted[n]:
                further = lifted.copy()
                further[n] = width
                assert (costs(further[None])[0] > paid).any(), f"node {n} could have {width} for nothing"
    again = lift(lifted, widths, allowed, costs)
    assert again.tolist() == lifted.tolist()
    return lifted


def configurations(count: int) -> st.SearchStrategy[tuple[np.ndarray, dict[int, int]]]:
    bits = st.lists(st.sampled_from(WIDTHS), min_size=count, max_size=count).map(np.array)
    return st.tuples(bits, st.dictionaries(st.integers(0, count - 1), st.sampled_from(WIDTHS), max_size=4))


@settings(max_examples=40)
@pytest.mark.parametrize("bitops", MODELS)
@given(configurations(6))
def test_shared_activations(bitops: BitOps, case: tuple[np.ndarray, dict[int, int]]) -> None:
    check(*case, CostModel(shared(), bitops).evaluate)


@settings(max_examples=12)
@pytest.mark.parametrize("bitops", MODELS)
@given(configurations(36))
def test_digits(digits: Workload, bitops: BitOps, case: tuple[np.ndarray, dict[int, int]]) -> None:
    check(*case, CostModel(digits, bitops).evaluate)


@given(configurations(6))
def test_costs_that_round(case: tuple[np.ndarray, dict[int, int]]) -> None:
    check(*case, ToyProblem().costs)


@given(configurations(5), st.lists(st.integers(0, 3), min_size=10, max_size=10), st.integers(8, 60))
def test_costs_free_one_by_one_but_not_together(
    case: tuple[np.ndarray, dict[int, int]], weights: list[int], step: int
) -> None:
    """Costs in stairs: each of several nodes alone may stay on its step, all together not."""
    table = np.array(weights).reshape(5, 2)

    def costs(bits: Any) -> np.ndarray:
        return np.asarray(np.floor(np.asarray(bits, dtype=np.float64) @ table / step))

    check(*case, costs)


def test_together_too_dear_the_first_node_gets_it() -> None:
    def costs(bits: Any) -> np.ndarray:
        return np.maximum(np.asarray(bits, dtype=np.float64).sum(axis=1, keepdims=True), 10)

    # 2 + 2 + 2 of 10 that are paid anyway: 4 to spare, each alone up to 6
    assert check(np.array([2, 2, 2]), {}, costs).tolist() == [6, 2, 2]
    assert check(np.array([2, 2, 2]), {0: 3}, costs).tolist() == [3, 5, 2]


def test_shared_activations_by_hand() -> None:
    costs = CostModel(shared()).evaluate
    # 0 may be as wide as the narrower of weights 1 and 2, 3 as 0 where 4 lets it; nobody reads 5
    bits = np.array([2, 7, 5, 2, 4, 3])
    # the product of 0 and 3 is at its 2 bits already: neither can grow alone
    assert check(bits, {}, costs).tolist() == [2, 7, 5, 2, 4, 8]
    bits = np.array([2, 7, 5, 4, 4, 3])
    assert check(bits, {}, costs).tolist() == [4, 7, 5, 4, 4, 8]
    assert check(bits, {0: 3}, costs).tolist() == [3, 7, 5, 4, 4, 8]
    assert check(bits, {5: 2}, costs).tolist() == [4, 7, 5, 4, 4, 2]
    product = CostModel(shared(), "product").evaluate
    assert check(bits, {}, product).tolist() == [2, 7, 5, 4, 4, 8], "every bit of a product counts"


def test_activations_reach_their_weights_on_digits(digits: Workload) -> None:
    weights = np.array([one.kind == "weight" for one in digits.nodes])
    lifted = check(np.where(weights, 6, 2), {}, CostModel(digits).evaluate)
    assert (lifted[weights] == 6).all()
    assert (lifted[~weights] >= 6).all()


def test_nothing_to_lift() -> None:
    costs = ToyProblem().costs
    assert check(np.full(6, 8), {}, costs).tolist() == [8] * 6
    pins = dict(enumerate([2, 8, 3, 7, 2, 5]))
    assert check(np.full(6, 4), pins, costs).tolist() == list(pins.values())
    assert check(np.array([4, 2, 4, 2, 4, 2]), {}, costs, (2, 4)).tolist() == [4, 2, 4, 2, 4, 2]


@pytest.mark.parametrize("species", [("continuous", "floor"), ("gcn", "integer")])
def test_everything_a_search_makes_is_lifted_but_what_people_enqueue(species: tuple[str, ...]) -> None:
    engine = make_engine(1, species, lift=True)
    engine.steering.pin({0: 3})
    engine.steering.enqueue(np.array([[3, 8, 2, 8, 2, 8]], dtype=np.uint8))
    run(engine, 50)
    bits = engine.evaluations.bits
    assert bits[0].tolist() == [3, 8, 2, 8, 2, 8], "as it was asked for"
    for row in bits[1:]:
        assert check(row, {0: 3}, ToyProblem().costs).tolist() == row.tolist()
