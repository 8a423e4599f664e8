"""Widening what is free: nothing gets dearer, pins stay, and nothing that is free is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nemo_lab import CostModel, Workload
from nemo_lab.cost.model import BitOps
from nemo_lab.search.constraints import Constraints
from nemo_lab.search.lift import lift
from tests.cost.build import node, workload
from tests.properties.test_costs import workloads
from tests.search.test_engine import make_engine, run
from tests.toy import ToyProblem

WIDTHS = (2, 3, 4, 5, 6, 7, 8)
MODELS = get_args(BitOps)
Costs = Callable[[Any], np.ndarray]


class Priced:
    """What ``lift`` needs of a problem: widths and exact costs, evaluated as whole configurations."""

    cost_names: tuple[str, ...] = ()
    neighbour_costs: Any = None
    allowed = None
    num_nodes = 0

    def __init__(self, costs: Costs, bit_widths: tuple[int, ...] = WIDTHS) -> None:
        self.costs, self.bit_widths = costs, bit_widths

    def named_for(self, bits: np.ndarray) -> Priced:
        """With a name for each of the costs of uint8[Q]."""
        self.cost_names = tuple(f"cost {c}" for c in range(self.costs(bits[None]).shape[1]))
        return self


class PricedByModel(Priced):
    """The same with the costs of one changed node, as a problem with a cost model has them."""

    def __init__(self, model: CostModel, bit_widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__(model.evaluate, bit_widths)
        self.model = model

    def neighbour_costs(self, bits: Any) -> np.ndarray:
        return self.model.neighbours(bits, self.bit_widths)


def lifted_by(problem: Priced, bits: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    return lift(bits, problem.named_for(bits), allowed)  # type: ignore[arg-type]


def lifted_by_whole_rows(problem: Priced, bits: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """The definition: every node at every wider width, one whole configuration after the other."""
    paid = problem.costs(bits[None])[0]
    free = []
    for index, position in np.argwhere(allowed & (np.array(problem.bit_widths) > bits[:, None])):
        one = bits.copy()
        one[index] = problem.bit_widths[position]
        if (problem.costs(one[None])[0] <= paid).all():
            free.append((index, one[index]))
    together = bits.copy()
    for index, width in free:
        together[index] = max(together[index], width)
    if (problem.costs(together[None])[0] <= paid).all():
        return together
    lifted = bits.copy()
    for index in sorted({i for i, _ in free}):
        for width in sorted((w for i, w in free if i == index), reverse=True):
            one = lifted.copy()
            one[index] = width
            if (problem.costs(one[None])[0] <= paid).all():
                lifted = one
                break
    return lifted


def shared() -> Workload:
    """Activation 0 is read by weights 1 and 2, 3 by weight 4 and with 0; 5 by nobody."""
    nodes = [node(0), node(1, params=30), node(2, params=7), node(3), node(4, params=11), node(5)]
    return workload(nodes, [((1, 0), 100), ((2, 0), 33), ((4, 3), 50), ((0, 3), 9)])


def check(
    bits: np.ndarray, pins: dict[int, int], priced: Costs | CostModel, widths: tuple[int, ...] = WIDTHS
) -> np.ndarray:
    """Lift, and hold the result against the definition, one node and one width at a time."""
    problem = PricedByModel(priced, widths) if isinstance(priced, CostModel) else Priced(priced, widths)
    costs = problem.costs
    rules = Constraints(pins=pins)
    problem.num_nodes = len(bits)
    bits = rules.apply(bits.astype(np.uint8), problem)  # type: ignore[arg-type]
    before = bits.copy()
    allowed = rules.allowed(problem)  # type: ignore[arg-type]
    lifted = lifted_by(problem, bits, allowed)
    assert lifted.tolist() == lifted_by_whole_rows(problem, before, allowed).tolist()
    assert lifted.tolist() == lifted_by(Priced(costs, widths), before, allowed).tolist()
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
    again = lifted_by(problem, lifted, allowed)
    assert again.tolist() == lifted.tolist()
    return lifted


def configurations(count: int) -> st.SearchStrategy[tuple[np.ndarray, dict[int, int]]]:
    bits = st.lists(st.sampled_from(WIDTHS), min_size=count, max_size=count).map(np.array)
    return st.tuples(bits, st.dictionaries(st.integers(0, count - 1), st.sampled_from(WIDTHS), max_size=4))


@settings(max_examples=40)
@pytest.mark.parametrize("bitops", MODELS)
@given(configurations(6))
def test_shared_activations(bitops: BitOps, case: tuple[np.ndarray, dict[int, int]]) -> None:
    check(*case, CostModel(shared(), bitops))


@settings(max_examples=12)
@pytest.mark.parametrize("bitops", MODELS)
@given(configurations(36))
def test_digits(digits: Workload, bitops: BitOps, case: tuple[np.ndarray, dict[int, int]]) -> None:
    check(*case, CostModel(digits, bitops))


@settings(max_examples=60)
@given(
    configurations(6), st.lists(st.sampled_from([0.0, 0.1, 0.3, 1 / 3, 1e-17, 1e9]), min_size=42, max_size=42)
)
def test_tables_that_round(case: tuple[np.ndarray, dict[int, int]], cells: list[float]) -> None:
    """Costs that grow with width, by so little that some of it is lost in the sum."""
    grown = np.cumsum(np.array(cells).reshape(6, 7), axis=1).tolist()
    workload = shared()
    table = {
        one.name: dict(zip(WIDTHS, row, strict=True)) for one, row in zip(workload.nodes, grown, strict=True)
    }
    check(*case, CostModel(workload, tables={"latency": table}))


@given(workloads(), st.sampled_from(MODELS), st.integers(0, 99))
def test_any_workload(w: Workload, bitops: BitOps, seed: int) -> None:
    rng = np.random.default_rng(seed)
    nodes = len(w.nodes)
    assume(nodes > 1)
    table = {one.name: {width: float(rng.random()) for width in WIDTHS} for one in w.nodes}
    bits = rng.choice(WIDTHS, nodes).astype(np.uint8)
    allowed = rng.random((nodes, len(WIDTHS))) < 0.8
    for tables in ({}, {"latency": table}):  # of which the second one also falls as widths grow
        problem = PricedByModel(CostModel(w, bitops, tables=tables))
        expected = lifted_by_whole_rows(problem, bits, allowed)
        assert lifted_by(problem, bits, allowed).tolist() == expected.tolist()


def test_without_exact_costs_nothing_is_lifted() -> None:
    bits = np.array([2, 3], dtype=np.uint8)
    problem = Priced(lambda bits: np.empty((len(bits), 0)))
    assert lifted_by(problem, bits, np.ones((2, 7), dtype=bool)).tolist() == [2, 3]


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
    costs = CostModel(shared())
    # 0 may be as wide as the narrower of weights 1 and 2, 3 as 0 where 4 lets it; nobody reads 5
    bits = np.array([2, 7, 5, 2, 4, 3])
    # the product of 0 and 3 is at its 2 bits already: neither can grow alone
    assert check(bits, {}, costs).tolist() == [2, 7, 5, 2, 4, 8]
    bits = np.array([2, 7, 5, 4, 4, 3])
    assert check(bits, {}, costs).tolist() == [4, 7, 5, 4, 4, 8]
    assert check(bits, {0: 3}, costs).tolist() == [3, 7, 5, 4, 4, 8]
    assert check(bits, {5: 2}, costs).tolist() == [4, 7, 5, 4, 4, 2]
    product = CostModel(shared(), "product")
    assert check(bits, {}, product).tolist() == [2, 7, 5, 4, 4, 8], "every bit of a product counts"


def test_activations_reach_their_weights_on_digits(digits: Workload) -> None:
    weights = np.array([one.kind == "weight" for one in digits.nodes])
    lifted = check(np.where(weights, 6, 2), {}, CostModel(digits))
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
