"""Utility, upper confidence bound, and the sharing of population slots."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_lab.search.allocation import share_slots, ucb_scores, utility_from_r2


def test_utility_turns_and_normalises() -> None:
    assert utility_from_r2(np.array([0.3, 0.1, 0.2])).tolist() == pytest.approx([0, 1, 0.5])
    assert utility_from_r2(np.array([0.2, 0.2])).tolist() == [1, 1]
    assert utility_from_r2(np.array([0.7])).tolist() == [1]


def test_ucb_by_hand() -> None:
    scores = ucb_scores(np.array([1.0, 0.5, 0.0]), np.array([10, 20, 70]), 2.0)
    bonus = [2 * math.sqrt(math.log(100) / count) for count in (10, 20, 70)]
    assert scores.tolist() == pytest.approx([1 + bonus[0], 0.5 + bonus[1], bonus[2]])
    assert ucb_scores(np.array([1.0, 0.5]), np.array([3, 5]), 0.0).tolist() == [1.0, 0.5]


def test_ucb_favours_the_less_tried() -> None:
    scores = ucb_scores(np.array([0.5, 0.5]), np.array([10, 40]), 1.0)
    assert scores[0] > scores[1]
    assert np.all(np.isfinite(ucb_scores(np.array([1.0, 1.0]), np.array([0, 0]), 1.0)))


@pytest.mark.parametrize(
    ("scores", "slots", "floor", "expected"),
    [
        ([1, 1, 1, 1], 48, 4, [12, 12, 12, 12]),
        # quotas 4.7, 3.1, 2.2: one left, to the largest remainder
        ([47, 31, 22], 10, 0, [5, 3, 2]),
        # quotas 3.33 each: the tie goes to the first
        ([1, 1, 1], 10, 1, [4, 3, 3]),
        # quotas 9, 0.5, 0.5: two get their floor, the first the rest
        ([90, 5, 5], 10, 2, [6, 2, 2]),
        # 6.4, 3.2, 0.4: the last gets 2, the others share 8 as 2 to 1: 5.33, 2.67
        ([64, 32, 4], 10, 2, [5, 3, 2]),
        # a floor that cannot be had is lowered to 5 // 3
        ([8, 1, 1], 5, 4, [3, 1, 1]),
        ([0, 0, 0], 6, 1, [2, 2, 2]),
        ([1, 0], 6, 1, [5, 1]),
        ([3], 7, 4, [7]),
    ],
)
def test_slots_by_hand(scores: list[float], slots: int, floor: int, expected: list[int]) -> None:
    assert share_slots(np.array(scores, dtype=float), slots, floor).tolist() == expected


@given(
    st.lists(st.integers(0, 1000).map(lambda i: i / 500), min_size=1, max_size=6),
    st.integers(0, 80),
    st.integers(0, 12),
)
def test_slots_are_kept_floored_and_monotone(scores: list[float], extra: int, floor: int) -> None:
    slots = len(scores) + extra
    shared = share_slots(np.array(scores), slots, floor)
    assert shared.sum() == slots
    assert shared.min() >= min(floor, slots // len(scores))
    for one, own in zip(scores, shared, strict=True):
        for other, theirs in zip(scores, shared, strict=True):
            assert not (one > other and own < theirs), "a better score got fewer slots"
