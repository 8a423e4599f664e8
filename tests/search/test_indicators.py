"""R2, hypervolume and dominance: by hand, and against the obvious loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nemo_lab.search.indicators import (
    hypervolume,
    non_dominated,
    partitions_for,
    r2,
    uniform_directions,
)

UNIT = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])


def vectors(minimum: int = 1, maximum: int = 12, objectives: int = 3) -> st.SearchStrategy[np.ndarray]:
    """Sets of objective vectors on a coarse grid, so that equal ones are common."""
    rows = st.integers(minimum, maximum)
    grid = st.integers(0, 4).map(lambda i: i / 4)
    return rows.flatmap(lambda n: hnp.arrays(np.float64, (n, objectives), elements=grid))


def test_r2_by_hand() -> None:
    members = np.array([[0.2, 0.8], [0.6, 0.4]])
    weights = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    # max_j of the first: 0.2, 0.4, 0.8; of the second: 0.6, 0.3, 0.4; the least: 0.2, 0.3, 0.4
    assert r2(members, weights) == pytest.approx((0.2 + 0.3 + 0.4) / 3)
    # towards (0.2, 0.4): first 0, 0.2, 0.4; second 0.4, 0.2, 0; the least: 0, 0.2, 0
    assert r2(members, weights, np.array([0.2, 0.4])) == pytest.approx(0.2 / 3)


@given(vectors(), st.integers(1, 4))
def test_r2_equals_the_loop(members: np.ndarray, partitions: int) -> None:
    weights = uniform_directions(3, partitions)
    total = 0.0
    for weight in weights:
        total += min(max(w * abs(0 - g) for w, g in zip(weight, member, strict=True)) for member in members)
    assert r2(members, weights) == pytest.approx(total / len(weights), abs=1e-12)


@given(vectors(minimum=2))
def test_r2_of_more_members_is_never_worse(members: np.ndarray) -> None:
    weights = uniform_directions(3, 4)
    assert r2(members, weights) <= r2(members[:-1], weights)


def test_directions_are_the_simplex_lattice() -> None:
    directions = uniform_directions(3, 2)
    expected = {(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)}
    assert {tuple(row) for row in directions.tolist()} == expected


@pytest.mark.parametrize(("count", "partitions"), [(1, 1), (3, 1), (5, 1), (6, 2), (9, 2), (10, 3), (48, 8)])
def test_directions_fit_the_population(count: int, partitions: int) -> None:
    # 3, 6, 10, 15, ..., 45, 55 directions with 1, 2, 3, 4, ..., 8, 9 partitions of three objectives
    assert partitions_for(3, count) == partitions


def test_hypervolume_by_hand() -> None:
    full = 1.01**3
    assert hypervolume(np.empty((0, 3)), UNIT) == 0
    assert hypervolume(np.array([[0.0, 0.0, 0.0]]), UNIT) == pytest.approx(1)
    assert hypervolume(np.array([[0.5, 0.5, 0.5]]), UNIT) == pytest.approx(0.51**3 / full)
    # two boxes less what they share
    pair = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5]])
    union = 1.01 * 0.51 * 0.51 + 0.51 * 1.01 * 0.51 - 0.51**3
    assert hypervolume(pair, UNIT) == pytest.approx(union / full)


def test_hypervolume_normalises_by_the_reachable_box() -> None:
    bounds = np.array([[0.0, 0.0625, 0.1], [1.0, 0.25, 0.3]])
    middle = bounds.mean(axis=0, keepdims=True)
    assert hypervolume(middle, bounds) == pytest.approx(0.51**3 / 1.01**3)
    assert hypervolume(bounds[1:], bounds, reference=1.0) == 0
    assert hypervolume(bounds[:1] - 1, bounds) == pytest.approx(1)  # beyond the box counts as its corner
    assert hypervolume(bounds[1:] + 1, bounds) == 0


@given(vectors(minimum=2))
def test_hypervolume_stays_in_its_bounds_and_grows(members: np.ndarray) -> None:
    whole, part = hypervolume(members, UNIT), hypervolume(members[:-1], UNIT)
    assert 0 <= part <= whole + 1e-12
    assert whole <= 1 + 1e-12
    assert hypervolume(members[non_dominated(members)], UNIT) == pytest.approx(whole)


@given(vectors(minimum=0))
def test_non_dominated_equals_the_loop(members: np.ndarray) -> None:
    expected = []
    for i, one in enumerate(members):
        beaten = any(np.all(other <= one) and np.any(other < one) for other in members)
        repeated = any(np.array_equal(other, one) for other in members[:i])
        if not beaten and not repeated:
            expected.append(i)
    assert non_dominated(members).tolist() == expected
