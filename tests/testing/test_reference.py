"""Reference problems: their fronts by other means, and how far the presets get."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from nemo_lab import Study, create_study
from nemo_lab.errors import ArgumentError, BitWidthError
from nemo_lab.testing import ReferenceProblem, check_problem, reference_problems

PROBLEMS = {problem.name: problem for problem in reference_problems()}
each = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)


def vectors(study: Study) -> np.ndarray:
    return study.evaluations()[list(study.problem.objective_names)].to_numpy()


@each
def test_they_are_small_and_keep_the_promises_of_problems(problem: ReferenceProblem) -> None:
    check_problem(problem, configurations=8)
    count = len(problem.bit_widths) ** problem.num_nodes
    assert 5 <= problem.num_nodes <= 7
    assert len(problem.configurations) == len({row.tobytes() for row in problem.configurations}) == count
    assert count <= 20_000


@each
def test_the_front_is_that_of_brute_force(problem: ReferenceProblem) -> None:
    rows = itertools.product(problem.bit_widths, repeat=problem.num_nodes)
    left = sorted({tuple(row) for row in problem.evaluate(np.array(list(rows))).tolist()})
    front: list[tuple[float, ...]] = []
    for one in left:  # by the first objective: nothing later can dominate it
        if not any(other[1] <= one[1] and other[2] <= one[2] for other in front):
            front.append(one)
    assert problem.front.tolist() == [list(row) for row in front]
    assert len(front) > 100


@each
def test_the_hypervolume_is_the_share_of_points_dominated(problem: ReferenceProblem) -> None:
    low, high = problem.objective_bounds
    points = np.random.default_rng(0).random((20_000, 3)) * 1.01
    scaled = (problem.front - low) / (high - low)
    hit = np.zeros(len(points), dtype=bool)
    for member in scaled:
        hit |= (member <= points).all(axis=1)
    assert problem.hypervolume == pytest.approx(hit.mean(), abs=0.015)
    assert problem.reached(problem.front) == pytest.approx(1.0)
    assert problem.reached(problem.evaluate(problem.configurations)) == pytest.approx(1.0)
    assert 0 < problem.reached(problem.front[:1]) < problem.reached(problem.front[::10]) < 1


def widened(problem: ReferenceProblem) -> tuple[np.ndarray, np.ndarray]:
    """Errors of configurations, and of the same with one node one width up."""
    widths, bits = np.asarray(problem.bit_widths), problem.configurations
    levels = np.searchsorted(widths, bits)
    one, two = [], []
    for q in range(problem.num_nodes):
        rows = levels[:, q] < len(widths) - 1
        wider = bits[rows].copy()
        wider[:, q] = widths[levels[rows, q] + 1]
        one.append(problem.evaluate(bits[rows])[:, 0])
        two.append(problem.evaluate(wider)[:, 0])
    return np.concatenate(one), np.concatenate(two)


def test_each_is_hard_in_its_own_way() -> None:
    for name in ("separable", "pairs"):
        narrow, wide = widened(PROBLEMS[name])
        assert np.all(wide < narrow)
    narrow, wide = widened(PROBLEMS["bumpy"])
    assert 0.02 < (wide > narrow + 1e-9).mean() < 0.5

    def beyond(name: str) -> float:
        """Damage of two narrow neighbours beside that of each alone."""
        problem = PROBLEMS[name]
        bits = np.full((4, problem.num_nodes), 8)
        bits[1, 0] = bits[2, 1] = bits[3, 0] = bits[3, 1] = 2
        damage = -np.log1p(-problem.evaluate(bits)[:, 0])
        return float(damage[3] - damage[1] - damage[2] + damage[0])

    assert beyond("separable") == pytest.approx(0, abs=1e-9)
    assert beyond("pairs") > 1


def test_costs_by_hand() -> None:
    ends = np.array([[2, 8, 8, 2, 2], [8, 2, 2, 8, 2]])
    separable = PROBLEMS["separable"].costs(ends)
    size = [
        (1 * 2 + 8 * 8 + 3 * 8 + 2 * 2 + 20 * 2) / (34 * 8),
        (1 * 8 + 8 * 2 + 3 * 2 + 2 * 8 + 20 * 2) / (34 * 8),
    ]
    work = [(6 * 5 + 3 * 5 + 1 * 2) / (10 * 8)] * 2
    assert separable == pytest.approx(np.column_stack([size, work]))
    assert PROBLEMS["pairs"].costs([[2, 8, 4, 4, 3, 2]])[0, 1] == pytest.approx(
        (5 * 8 + 3 * 4 + 1 * 3) / (9 * 8)
    )


@each
def test_what_cannot_be_used_is_refused(problem: ReferenceProblem) -> None:
    for method in (problem.evaluate, problem.costs):
        with pytest.raises(BitWidthError, match="choose from"):
            method(np.full((1, problem.num_nodes), 9))
        with pytest.raises(BitWidthError, match="one width for each"):
            method([[4, 4]])
    with pytest.raises(ArgumentError, match="give one row of 3 each"):
        problem.reached(problem.front[:, :2])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", PROBLEMS)
def test_the_default_preset_reaches_99_percent(name: str, seed: int) -> None:
    """Within 500 evaluations of spaces of some 16,000; with 400 six of seven seeds do on `pairs`."""
    problem = PROBLEMS[name]
    study = create_study(problem, seed=seed)
    reached = 0.0
    for count in (200, 300, 400, 500):
        if reached < 0.99:
            reached = problem.reached(vectors(study.optimize(until=count, progress=False)))
    assert reached >= 0.99


@each
def test_the_paper_preset_runs_and_gets_ahead(problem: ReferenceProblem) -> None:
    found = vectors(create_study(problem, preset="paper", seed=0).optimize(120, progress=False))
    assert len(found) == 120
    assert problem.reached(found[:20]) < problem.reached(found) <= 1
    assert problem.reached(found) > 0.7
