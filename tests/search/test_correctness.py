"""The rewritten search against other people's code, obvious loops, and numbers worked out by hand."""

from __future__ import annotations

import itertools
import math
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymoo.algorithms.moo.nsga3 import ReferenceDirectionSurvival
from pymoo.core.population import Population as PymooPopulation
from pymoo.core.problem import Problem as PymooProblem

from nemo_lab.search import SearchOptions
from nemo_lab.search.allocation import share_slots
from nemo_lab.search.constraints import Constraints
from nemo_lab.search.members import Member
from nemo_lab.search.population import Population
from nemo_lab.search.ranking import Nsga3Ranking
from nemo_lab.search.species.mating import partners, spread_levels
from nemo_lab.search.species_controls import SpeciesControls
from tests.search.test_engine import Uneven, make_engine, step
from tests.search.test_ranking import sphere

UNIT = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])


class SameDraws:
    """Random draws that depend on what is asked for only, not on what was drawn before.

    Ours ranks every front, pymoo chooses from the last only: from a common stream they would get other draws.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def permutation(self, count: int) -> np.ndarray:
        return np.random.default_rng([self.seed, count, 0]).permutation(count)

    def shuffle(self, rows: np.ndarray) -> None:
        np.random.default_rng([self.seed, len(rows), 1]).shuffle(rows)


class Peer:
    """pymoo's survival over consecutive generations."""

    def __init__(self, directions: np.ndarray, seed: int) -> None:
        self.survival, self.draws = ReferenceDirectionSurvival(directions), SameDraws(seed)

    def survivors(self, objectives: np.ndarray, count: int) -> set[int]:
        everyone = PymooPopulation.new("F", objectives, "row", np.arange(len(objectives)))
        problem = PymooProblem(n_var=1, n_obj=objectives.shape[1])
        with warnings.catch_warnings():  # pymoo leaves all warnings off
            kept = self.survival.do(problem, everyone, n_survive=count, random_state=self.draws)
        return set(kept.get("row").tolist())


def clouds(kind: str, count: int, objectives: int, rng: np.random.Generator) -> np.ndarray:
    points = rng.random((count, objectives))
    if kind == "grid":  # equal vectors and equal distances
        return np.round(points * 4) / 4
    if kind == "layers":
        return points / np.linalg.norm(points, axis=1, keepdims=True) * rng.integers(1, 4, (count, 1))
    return points


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["uniform", "grid", "layers"])
@pytest.mark.parametrize(("count", "objectives", "population"), [(30, 3, 15), (96, 3, 48), (24, 2, 12)])
def test_survivors_are_those_of_pymoo_generation_after_generation(
    seed: int, kind: str, count: int, objectives: int, population: int
) -> None:
    rng = np.random.default_rng([seed, count])
    ranking = Nsga3Ranking(objectives, population)
    peer = Peer(ranking.directions, seed)
    kept = np.empty((0, objectives))
    for generation in range(4):  # ideal and extreme points are remembered
        points = np.concatenate([kept, clouds(kind, count - len(kept), objectives, rng) * 0.9**generation])
        order = ranking.order(points, SameDraws(seed))  # type: ignore[arg-type]
        assert set(order[:population].tolist()) == peer.survivors(points, population)
        kept = points[np.sort(order[:population])]


@pytest.mark.parametrize("survivors", range(1, 30, 4))
def test_every_leading_part_is_a_survival_of_pymoo(survivors: int) -> None:
    points = sphere(30, 7) * np.random.default_rng(7).uniform(0.5, 2, (30, 1))
    ranking = Nsga3Ranking(3, 15)
    order = ranking.order(points, SameDraws(7))  # type: ignore[arg-type]
    peer = Peer(ranking.directions, 7)
    assert set(order[:survivors].tolist()) == peer.survivors(points, survivors)


def test_the_record_of_a_generation_equals_the_formulas() -> None:
    """R2 by the loop and UCB by its formula, from the log alone."""
    engine = make_engine(3, ucb_c=0.7)
    for _ in range(12):
        step(engine)
    step(engine)  # into generation 1, before anybody died
    record, log = engine.history[0], engine.evaluations
    weights = [w for w in itertools.product(range(13), repeat=3) if sum(w) == 12]
    indicators = []
    for s in range(2):
        members = log.objectives[:12][log.species[:12] == s]
        best = [min(max(w[j] / 12 * abs(g[j]) for j in range(3)) for g in members) for w in weights]
        indicators.append(sum(best) / len(weights))
    assert [one.r2 for one in record.species] == pytest.approx(indicators)
    better = int(np.argmin(indicators))
    for s, one in enumerate(record.species):
        assert one.evaluations == 6
        utility = 1.0 if s == better else 0.0
        assert one.score == pytest.approx(utility + 0.7 * math.sqrt(math.log(12) / 6))


@given(st.lists(st.integers(1, 40), min_size=2, max_size=4), st.integers(4, 12))
def test_largest_remainder_is_as_near_to_the_quotas_as_can_be(scores: list[int], slots: int) -> None:
    quotas = np.array(scores) / sum(scores) * slots
    shared = share_slots(np.array(scores, dtype=float), slots, 0)
    assert np.all(np.abs(shared - quotas) < 1 + 1e-9)
    every = itertools.product(range(slots + 1), repeat=len(scores))
    nearest = min(np.abs(np.array(one) - quotas).sum() for one in every if sum(one) == slots)
    assert np.abs(shared - quotas).sum() == pytest.approx(nearest)


def test_offspring_are_shared_like_the_population_and_what_is_left_over_is_carried_on() -> None:
    # 9 and 3 members: 8 offspring are exactly 6 and 2; of 2 each time, 1.5 and 0.5 are owed
    shares = {
        8: [[6, 2], [6, 2]],
        2: [[2, 0], [1, 1], [2, 0], [1, 1]],
        5: [[4, 1], [4, 1], [3, 2], [4, 1]],
        None: [[9, 3], [9, 3]],
    }
    for total, expected in shares.items():
        options = SearchOptions(population=12, offspring=total)
        population = made([[[0.5] * 3]] * 2, options)
        population.allocation = np.array([9, 3])
        view: Any = SimpleNamespace(evaluations=())  # neither species looks at it
        for generation in expected:
            kept = [list(members) for members in population.members]
            assert [len(group) for group in population.breed(view, SpeciesControls())] == generation
            population.members = kept


def made(vectors: list[list[list[float]]], options: SearchOptions) -> Population:
    """A population whose members have the given objectives; widths are 2 + the species' position."""
    species = [Uneven(f"s{s}", 2 + s) for s in range(len(vectors))]
    seeds = np.random.SeedSequence(0).spawn(1 + len(species))
    population = Population(species, options, np.arange(3), seeds)
    population.members = [
        [
            Member(s, object(), "initial", np.full(6, 2 + s, dtype=np.uint8), np.array(vector))
            for vector in group
        ]
        for s, group in enumerate(vectors)
    ]
    return population


VOLUME = SearchOptions(utility="hypervolume", ucb_c=0.0)
# boxes up to 1.01: A 0.51 x 1.01 x 0.51, B 1.01 x 0.51 x 0.51, both share 0.51^3; C is inside of A
A, B, C = [0.5, 0.0, 0.5], [0.0, 0.5, 0.5], [0.6, 0.6, 0.6]
SLAB, CUBE = 0.51 * 1.01 * 0.51, 0.51**3


@pytest.mark.parametrize(
    ("groups", "losses"),
    [
        ([[A], [B], [C]], [SLAB - CUBE, SLAB - CUBE, 0]),
        ([[A], [A], [B]], [0, 0, SLAB - CUBE]),  # whoever has a twin adds nothing
        ([[A, B], [C]], [2 * SLAB - CUBE - 0.41**3, 0]),
        ([[A, C], [[0.0, 0.0, 0.0]]], [0, 1.01**3 - SLAB]),
        ([[A], [[0.0, 1.0, 0.5]]], [SLAB - 0.51 * 0.01 * 0.51, 0.5 * 0.01 * 0.51]),
        ([[A], [A]], [1, 1]),  # nobody adds anything: all alike
        ([[A]], [SLAB]),
    ],
)
def test_hypervolume_utility_by_hand(groups: list[list[list[float]]], losses: list[float]) -> None:
    _, scores = made(groups, VOLUME).utilities(Constraints(), UNIT)
    assert scores.tolist() == pytest.approx([loss / max(losses) for loss in losses])


def test_hypervolume_utility_looks_at_the_box_and_the_rules() -> None:
    population = made([[A], [B]], VOLUME)
    box = np.array([[0.0, 0.0, 0.0], [0.5, 0.25, 1.0]])  # A at (1, 0, 0.5) of it, B beyond
    assert population.utilities(Constraints(), box)[1].tolist() == [1, 0]
    # B breaks the limit, but is all that its species has; with a member that keeps it, that one counts
    limit = Constraints(limits={1: 0.25})
    assert population.utilities(limit, UNIT)[1].tolist() == [1, 1]
    population = made([[A], [B, [0.9, 0.0, 0.9]]], VOLUME)
    assert population.utilities(limit, UNIT)[1].tolist() == [1, 0], "inside of A"


@pytest.mark.parametrize("count", [3, 4, 7])
def test_tournaments_have_the_odds_of_the_better_of_two(count: int) -> None:
    """The better of two different ones is i with 2 (n - 1 - i) / (n (n - 1)); the partner likewise."""
    rng = np.random.default_rng(count)
    pairs = np.array([partners(count, rng, "tournament") for _ in range(6000)])
    assert np.all(pairs[:, 0] != pairs[:, 1])
    odds = [2 * (count - 1 - i) / (count * (count - 1)) for i in range(count)]
    expected = np.zeros((count, count))
    for first in range(count):
        others = [i for i in range(count) if i != first]
        for place, second in enumerate(others):
            expected[first, second] = odds[first] * 2 * (count - 2 - place) / ((count - 1) * (count - 2))
    found = np.zeros((count, count))
    np.add.at(found, (pairs[:, 0], pairs[:, 1]), 1 / len(pairs))
    assert np.abs(found - expected).max() < 5 * math.sqrt(0.25 / len(pairs))
    assert found[expected == 0].sum() == 0


@pytest.mark.parametrize("mating", ["random", "tournament"])
def test_few_parents_mate_as_they_can(mating: str) -> None:
    rng = np.random.default_rng(0)
    assert partners(1, rng, mating).tolist() == [0, 0]
    assert {tuple(partners(2, rng, mating).tolist()) for _ in range(50)} == {(0, 1), (1, 0)}


@given(st.integers(1, 40), st.integers(0, 99))
def test_levels_fill_equal_parts(count: int, seed: int) -> None:
    levels = spread_levels(count, 2.0, 8.0, np.random.default_rng(seed))
    assert sorted(((levels - 2.0) / 6.0 * count).astype(int).tolist()) == list(range(count))
