"""The surrogate's parts against what plain NumPy, enumeration and finite differences say."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from nemo_lab import CostModel, Workload
from nemo_lab.search.indicators import hypervolume
from nemo_lab.search.interactions import interacting
from nemo_lab.search.surrogate import kernels
from nemo_lab.search.surrogate.acquisition import pick_by_gain
from nemo_lab.search.surrogate.costs import PairwiseCosts, probe
from nemo_lab.search.surrogate.icm import descend
from nemo_lab.search.surrogate.model import DamageModel

WIDTHS = np.arange(2, 9)


def plain_loss(
    levels: np.ndarray, table: np.ndarray, floor: float, power: float, errors: Any, weights: Any
) -> float:
    damage = np.array([sum(table[q, w] for q, w in enumerate(row)) for row in levels])
    predicted = 1.2 - (1.2 - floor) * np.exp(-(damage**power))
    return float(0.5 * (weights * (predicted - errors) ** 2).sum())


@pytest.fixture
def fitting() -> tuple[np.ndarray, ...]:
    """Levels uint8[30, 5], a table float[5, 4], errors and weights float[30]."""
    rng = np.random.default_rng(3)
    levels = rng.integers(0, 4, (30, 5)).astype(np.uint8)
    return levels, np.exp(rng.normal(-2, 1, (5, 4))), rng.random(30), rng.random(30) + 0.5


def test_kernels_equal_plain_numpy(fitting: Any) -> None:
    levels, table, errors, weights = fitting
    damage = table[np.arange(5), levels].sum(axis=1)
    assert kernels.add_up(levels, table) == pytest.approx(damage)
    loss = kernels.loss_and_gradient(levels, table, 0.1, 1.2, 0.8, errors, weights)[0]
    assert loss == pytest.approx(plain_loss(levels, table, 0.1, 0.8, errors, weights))


def test_the_gradient_equals_finite_differences(fitting: Any) -> None:
    levels, table, errors, weights = fitting
    _, gradient, by_floor, by_power = kernels.loss_and_gradient(levels, table, 0.1, 1.2, 0.8, errors, weights)
    step = 1e-6

    def slope(**change: Any) -> float:
        up, down = (
            plain_loss(
                levels,
                table + sign * step * change.get("table", 0.0),
                0.1 + sign * step * change.get("floor", 0.0),
                0.8 * np.exp(sign * step * change.get("power", 0.0)),
                errors,
                weights,
            )
            for sign in (1, -1)
        )
        return (up - down) / (2 * step)

    for q, w in itertools.product(range(5), range(4)):
        one = np.zeros_like(table)
        one[q, w] = 1.0
        assert gradient[q, w] == pytest.approx(slope(table=one), rel=1e-5, abs=1e-8)
    assert by_floor == pytest.approx(slope(floor=1.0), rel=1e-5)
    assert by_power == pytest.approx(slope(power=1.0), rel=1e-5)


def test_information_is_the_diagonal_of_the_jacobian_squared(fitting: Any) -> None:
    levels, table, _, weights = fitting

    def predicted(log_table: np.ndarray) -> np.ndarray:
        damage = np.exp(log_table)[np.arange(5), levels].sum(axis=1)
        return 1.2 - 1.1 * np.exp(-(damage**0.8))

    expected = np.zeros_like(table)
    for q, w in itertools.product(range(5), range(4)):
        one = np.zeros_like(table)
        one[q, w] = 1e-6
        jacobian = (predicted(np.log(table) + one) - predicted(np.log(table) - one)) / 2e-6
        expected[q, w] = (weights * jacobian**2).sum()
    found = kernels.information(levels, table, 0.1, 1.2, 0.8, weights)
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-10)


def additive(rows: int, seed: int, nodes: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, levels and errors of a network in which every node adds its own damage."""
    rng = np.random.default_rng(seed)
    sensitivity = np.exp(np.random.default_rng(99).normal(0, 1.5, nodes))
    sensitivity /= sensitivity.sum()
    around = rng.integers(0, 7, (rows, 1))
    levels = np.clip(around + rng.integers(-2, 3, (rows, nodes)), 0, 6).astype(np.uint8)
    damage = (sensitivity * 4.0 ** (2.0 - levels.astype(float))).sum(axis=1)
    features = np.random.default_rng(98).random((nodes, 3)).astype(np.float32)
    return features, levels, 0.05 + 0.85 * -np.expm1(-damage)


def test_it_recovers_an_additive_model() -> None:
    features, levels, errors = additive(200, 0)
    _, unseen, expected = additive(300, 1)
    model = DamageModel(features, WIDTHS)
    model.fit(levels, errors, iterations=100)
    off = np.abs(model.predict(unseen) - expected)
    assert off.mean() < 0.01
    assert off.mean() < 0.1 * np.abs(expected - errors.mean()).mean(), "far better than a constant"


@pytest.mark.parametrize(("scale", "offset"), [(1e-6, 0.0), (1.0, -3.0), (1e5, 0.0), (250.0, 1e4)])
def test_the_scale_of_errors_does_not_matter(scale: float, offset: float) -> None:
    features, levels, errors = additive(80, 0)
    one, two = (DamageModel(features, WIDTHS) for _ in range(2))
    one.fit(levels, errors)
    two.fit(levels, errors * scale + offset)
    assert two.predict(levels) == pytest.approx(one.predict(levels) * scale + offset, abs=2e-3 * scale)


def test_samples_stray_most_where_nothing_is_known() -> None:
    features, levels, errors = additive(100, 0)
    model = DamageModel(features, WIDTHS)
    model.fit(levels, errors)
    draws = np.log(model.sample(np.random.default_rng(0), 500, 1.0))
    assert draws.mean(axis=0) == pytest.approx(np.log(model.table), abs=0.5)
    assert model.sample(np.random.default_rng(0), 1, 0.0)[0] == pytest.approx(model.table)
    few = DamageModel(features, WIDTHS)
    few.fit(levels[:5], errors[:5])
    loose = np.log(few.sample(np.random.default_rng(0), 500, 1.0))
    assert loose.std(axis=0).mean() > draws.std(axis=0).mean()


def sum_of_parts(parts: PairwiseCosts, levels: np.ndarray) -> np.ndarray:
    """float[N, C], by the definition."""
    nodes = np.arange(levels.shape[1])
    total = parts.unary[:, nodes, levels].sum(axis=2).T
    for a, b, entry in entries(parts):
        if a < b:
            total = total + parts.pairwise[:, entry, levels[:, a], levels[:, b]].T
    return np.asarray(total)


def entries(parts: PairwiseCosts) -> list[tuple[int, int, int]]:
    """Node, partner and number of every entry."""
    owners = np.repeat(np.arange(len(parts.starts) - 1), np.diff(parts.starts))
    return list(zip(owners.tolist(), parts.partners.tolist(), range(len(owners)), strict=True))


@pytest.mark.parametrize("kind", ["max", "product"])
@pytest.mark.parametrize("scales", ["none", "per_channel"])
def test_probe_is_exact(digits: Workload, kind: Any, scales: Any) -> None:
    rng = np.random.default_rng(0)
    table = {node.name: {int(w): float(rng.random()) for w in WIDTHS} for node in digits.nodes}
    model = CostModel(digits, kind, scales=scales, tables={"latency": table})

    def costs(levels: np.ndarray) -> np.ndarray:
        return model.evaluate(WIDTHS[levels])

    parts = probe(costs, 36, 7, interacting(costs, 36, 7))
    levels = rng.integers(0, 7, (200, 36))
    off = model.evaluate(WIDTHS[levels]) - sum_of_parts(parts, levels)
    assert off == pytest.approx(np.repeat(off[:1], 200, axis=0), abs=1e-12)
    places = {(a, b): entry for a, b, entry in entries(parts)}
    meet = {tuple(layer.operands) for layer in digits.layers}
    assert set(places) == meet | {(b, a) for a, b in meet}, "from either node, once"
    for (a, b), entry in places.items():
        other = parts.pairwise[:, places[b, a]]
        assert np.array_equal(parts.pairwise[:, entry], other.swapaxes(1, 2))


def sum_of_state(tables: np.ndarray, prices: np.ndarray, parts: PairwiseCosts, levels: np.ndarray) -> Any:
    """What ``descend`` lowers: of uint8[N, Q] for one state."""
    pairs = sum_of_parts(parts, levels) - parts.unary[:, np.arange(levels.shape[1]), levels].sum(axis=2).T
    return tables[np.arange(levels.shape[1]), levels].sum(axis=1) + pairs @ prices


GRAPHS: dict[str, list[tuple[int, int]]] = {
    "alone": [],
    "layers": [(0, 1), (2, 3), (4, 5)],
    "shared": [(0, 1), (0, 2), (3, 4), (3, 5)],
    "chain": [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)],
    "triangles": [(0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5)],
}


def descended(graph: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sums before and after, the lowest, and whether allowed: each [8], for random states."""
    rng = np.random.default_rng(seed)
    widths, nodes, states = 4, 6, 8
    couple = rng.normal(size=(2, nodes, nodes, widths, widths))
    pairs = GRAPHS[graph]

    def costs(rows: np.ndarray) -> np.ndarray:
        return sum((couple[:, a, b, rows[:, a], rows[:, b]].T for a, b in pairs), np.zeros((len(rows), 2)))

    parts = probe(costs, nodes, widths, np.array(pairs, dtype=np.int64).reshape(-1, 2))
    allowed = rng.random((nodes, widths)) < 0.7
    allowed[np.arange(nodes), rng.integers(widths, size=nodes)] = True
    tables, prices = rng.normal(size=(states, nodes, widths)), rng.random((states, 2))
    rooms = [np.flatnonzero(row) for row in allowed]
    levels = np.array([[rng.choice(room) for room in rooms] for _ in range(states)]).astype(np.uint8)
    every = np.array(list(itertools.product(*rooms)))
    before = [
        sum_of_state(t, p, parts, row[None])[0] for t, p, row in zip(tables, prices, levels, strict=True)
    ]
    best = [sum_of_state(t, p, parts, every).min() for t, p in zip(tables, prices, strict=True)]
    descend(tables, parts.pairwise, prices, parts.starts, parts.partners, allowed, levels, 10)
    after = [
        sum_of_state(t, p, parts, row[None])[0] for t, p, row in zip(tables, prices, levels, strict=True)
    ]
    kept = allowed[np.arange(nodes), levels].all(axis=1)
    return np.array(before), np.array(after), np.array(best), kept


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("graph", GRAPHS)
def test_descend_finds_what_enumeration_finds(graph: str, seed: int) -> None:
    before, after, best, kept = descended(graph, seed)
    assert kept.all()
    assert np.all(after <= before + 1e-9), "it never climbs"
    if graph in ("alone", "layers", "shared"):
        assert after == pytest.approx(best)
    else:
        assert (after - best).mean() < 0.25 * (before - best).mean()


@pytest.mark.parametrize("seed", range(4))
def test_picks_are_those_of_plain_greedy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    front, predicted = rng.random((6, 3)) * 1.3, rng.random((40, 3)) * 1.2
    predicted[5] = predicted[6]
    box = np.array([np.zeros(3), np.ones(3)])

    def volume(rows: np.ndarray) -> float:
        inside = rows[(rows < 1).all(axis=1)]
        return hypervolume(inside, box, reference=1.0)

    have, expected = front, []
    for _ in range(12):
        gains = [volume(np.vstack([have, row])) - volume(have) for row in predicted]
        if max(gains) <= 1e-12:
            break
        expected.append(int(np.argmax(gains)))
        have = np.vstack([have, predicted[expected[-1]]])
    assert pick_by_gain(front, predicted, 12, np.ones(3)).tolist() == expected
    assert pick_by_gain(front, predicted, 3, np.ones(3)).tolist() == expected[:3]


def test_nothing_is_picked_that_adds_nothing() -> None:
    front, worse = np.full((1, 3), 0.2), np.array([[0.2] * 3, [0.3] * 3, [0.1, 0.1, 1.0]])
    assert pick_by_gain(front, worse, 3, np.ones(3)).tolist() == []
    assert pick_by_gain(np.empty((0, 3)), worse, 3, np.ones(3)).tolist() == [0]
