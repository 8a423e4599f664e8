"""The NSGA-III order: its leading part is a survival that pymoo would make."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from pymoo.algorithms.moo.nsga3 import ReferenceDirectionSurvival
from pymoo.core.population import Population
from pymoo.core.problem import Problem as PymooProblem

from nemo_lab.search.indicators import non_dominated
from nemo_lab.search.ranking import Nsga3Ranking


def pymoo_survivors(objectives: np.ndarray, directions: np.ndarray, count: int, seed: int) -> Any:
    """Rows that pymoo keeps, and the niche of every row that it looked at."""
    population = Population.new("F", objectives, "row", np.arange(len(objectives)))
    survival = ReferenceDirectionSurvival(directions)
    problem = PymooProblem(n_var=1, n_obj=objectives.shape[1])
    with warnings.catch_warnings():  # pymoo leaves all warnings off
        return survival.do(problem, population, n_survive=count, random_state=np.random.default_rng(seed))


def sphere(count: int, seed: int) -> np.ndarray:
    """Vectors on the unit sphere: nobody dominates anybody."""
    points = np.abs(np.random.default_rng(seed).standard_normal((count, 3)))
    return np.asarray(points / np.linalg.norm(points, axis=1, keepdims=True))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("survivors", [5, 15, 24])
def test_one_front_is_kept_as_pymoo_keeps_it(seed: int, survivors: int) -> None:
    """With one front both draw the same random numbers, so the sets are equal."""
    objectives = sphere(30, seed)
    ranking = Nsga3Ranking(3, 15)
    kept = pymoo_survivors(objectives, ranking.directions, survivors, seed)
    order = ranking.order(objectives, np.random.default_rng(seed))
    assert set(order[:survivors].tolist()) == set(kept.get("row").tolist())


@pytest.mark.parametrize("seed", range(5))
def test_many_fronts_fill_niches_as_pymoo_does(seed: int) -> None:
    """Ties between niches fall by chance; how many members the niches get does not."""
    rng = np.random.default_rng(seed)
    objectives = sphere(48, seed) * rng.uniform(0.5, 2, (48, 1))
    ranking = Nsga3Ranking(3, 15)
    everyone = pymoo_survivors(objectives, ranking.directions, 48, seed)
    niche = dict(zip(everyone.get("row").tolist(), everyone.get("niche").tolist(), strict=True))
    order = ranking.order(objectives, rng)
    for survivors in (12, 24, 36):
        kept = pymoo_survivors(objectives, ranking.directions, survivors, seed).get("row").tolist()
        ours = order[:survivors].tolist()
        counts = [sorted(np.bincount([niche[row] for row in rows], minlength=15)) for rows in (kept, ours)]
        assert counts[0] == counts[1]


@pytest.mark.parametrize("seed", range(3))
def test_whole_fronts_come_one_after_the_other(seed: int) -> None:
    objectives = np.random.default_rng(seed).random((40, 3))
    order = Nsga3Ranking(3, 15).order(objectives, np.random.default_rng(seed))
    assert sorted(order.tolist()) == list(range(40))
    left, place = np.arange(40), 0
    while len(left):
        front = left[non_dominated(objectives[left])]
        assert set(order[place : place + len(front)].tolist()) == set(front.tolist())
        left, place = np.setdiff1d(left, front), place + len(front)


def test_who_breaks_the_rules_comes_last_the_worst_at_the_end() -> None:
    objectives = sphere(20, 0)
    penalty = np.arange(20) % 3 / 2.0
    objectives[penalty > 0] *= 0.1  # much better, and still last
    order = Nsga3Ranking(3, 15).order(objectives, np.random.default_rng(0), penalty)
    assert sorted(order.tolist()) == list(range(20))
    assert penalty[order].tolist() == sorted(penalty.tolist())
    for equal in (np.zeros(20), np.ones(20)):
        got = Nsga3Ranking(3, 15).order(objectives, np.random.default_rng(0), equal)
        plain = Nsga3Ranking(3, 15).order(objectives, np.random.default_rng(0))
        assert got.tolist() == plain.tolist()


def test_equal_vectors_are_all_ranked() -> None:
    order = Nsga3Ranking(3, 15).order(np.full((6, 3), 0.5), np.random.default_rng(0))
    assert sorted(order.tolist()) == list(range(6))


def test_warning_filters_stay_as_they_were() -> None:
    before = list(warnings.filters)
    Nsga3Ranking(3, 15).order(sphere(20, 1), np.random.default_rng(0))
    assert list(warnings.filters) == before
    with pytest.warns(UserWarning, match="heard"):
        warnings.warn("heard", stacklevel=1)
