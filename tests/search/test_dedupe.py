"""No configuration is evaluated twice, nobody waits for ever, and small spaces come to an end."""

from __future__ import annotations

import functools
import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from nemo_lab import NemoWarning, Study, create_study
from nemo_lab.search import ORIGINS, Candidate, Engine, SearchOptions
from nemo_lab.search.presets import PRESETS
from nemo_lab.search.species import make_species
from tests.search.test_engine import Uneven, run, step
from tests.toy import ToyProblem

QUICK = ("continuous", "floor", "integer")
FEW = (2, 4, 8)
TINY = {bytes(row) for row in itertools.product(FEW, repeat=3)}


def make(seed: int, species: Sequence[Any] = QUICK, problem: ToyProblem | None = None, **more: Any) -> Engine:
    """The default preset's options on six nodes of three widths, or another problem."""
    problem = problem or ToyProblem(bit_widths=FEW)
    options = SearchOptions(**{**PRESETS["default"].options, "population": 16, **more})
    return Engine(problem, make_species(species, problem, options), options, seed)


def rows(engine: Engine) -> list[bytes]:
    return [row.tobytes() for row in engine.evaluations.bits]


def answer(engine: Engine, candidate: Candidate) -> None:
    engine.tell(candidate, engine.problem.evaluate(candidate.bits[None])[0])


@pytest.mark.parametrize(
    ("species", "count", "seed"), [(QUICK, 240, 0), (QUICK, 240, 1), (PRESETS["default"].species, 120, 2)]
)
def test_nothing_is_evaluated_twice(species: tuple[str, ...], count: int, seed: int) -> None:
    engine = run(make(seed, species), count // 2)
    engine.steering.pin({1: 4})
    engine.steering.reseed(0, "front", 1.0)
    run(engine, count // 4)
    engine.steering.unpin([1])
    engine.steering.reseed(1, "random", 0.5)
    run(engine, count // 4)
    assert len(set(rows(engine))) == len(rows(engine)) == count


def test_what_people_enqueue_is_evaluated_all_the_same() -> None:
    engine = run(make(0), 20)
    again = engine.evaluations.bits[[3, 3, 7]].copy()
    engine.steering.enqueue(again)
    run(engine, 3)
    assert engine.evaluations.bits[20:].tolist() == again.tolist()
    run(engine, 100)
    assert len(set(rows(engine))) == len(rows(engine)) - 3


class Listed(Uneven):
    """Children come from a list, first to last; the genome is the width of all nodes."""

    def __init__(self, children: Sequence[int]) -> None:
        super().__init__("listed", 0)
        self.children = list(children)

    def initial(self, count: int, rng: np.random.Generator) -> list[Any]:
        return [2, 3, 4, 5, 6, 7][:count]

    def offspring(self, parents: Sequence[Any], count: int, rng: np.random.Generator) -> list[Any]:
        return [self.children.pop(0) for _ in range(count)]

    def decode(self, genome: Any) -> np.ndarray:
        return np.full(6, genome, dtype=np.uint8)


@pytest.mark.parametrize(("retries", "generation", "used"), [(0, 3, 6), (1, 2, 6), (2, 1, 5), (3, 1, 5)])
def test_a_known_child_is_tried_again_so_often(retries: int, generation: int, used: int) -> None:
    """First members 2 and 3; of two children a generation and their further tries the fifth, 8, is new."""
    species = Listed([3, 2, 2, 3, 8, *[3] * 50])
    options = {"population": 2, "initial": 2, "offspring": 2, "min_size": 1, "uniform": False, "lift": False}
    engine = make(0, (species,), ToyProblem(), retries=retries, **options)
    run(engine, 2)
    candidate = engine.ask()
    assert candidate is not None
    assert candidate.bits.tolist() == [8] * 6
    assert engine.generation == generation
    assert 55 - len(species.children) == used


def test_a_child_that_stays_known_has_the_known_objectives() -> None:
    species = Listed([3, 2] * 40)
    options = {"population": 4, "initial": 2, "offspring": 2, "min_size": 1, "uniform": False, "lift": False}
    engine = make(0, (species,), ToyProblem(), **options)
    run(engine, 2)
    candidate = engine.ask()  # after generations without anything new
    assert candidate is not None
    assert ORIGINS.index(candidate.member.origin) == ORIGINS.index("random")
    assert candidate.bits.tobytes() not in rows(engine)
    for member in engine.population.members[0]:
        assert member.objectives is not None
        assert member.bits is not None
        assert member.objectives.tolist() == engine.problem.evaluate(member.bits[None])[0].tolist()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("retries", [0, 10])
def test_a_configuration_that_is_out_is_waited_for(seed: int, retries: int) -> None:
    """Everything that can be asked for is asked before anything is told, and told in any order."""
    large = {"initial": 12, "min_initial": 2, "offspring": 16, "fill": True}  # generations, with many repeats
    engine, rng, waited = make(seed, retries=retries, **large), np.random.default_rng(seed), 0
    for _ in range(20):
        asked = list(iter(engine.ask, None))
        assert len({one.bits.tobytes() for one in asked}) == len(asked)
        waited += len(engine.state.queue) > 0
        for i in rng.permutation(len(asked)):
            answer(engine, asked[i])
        if not len(engine.state.queue):
            for members in engine.population.members:
                for member in members:
                    assert member.bits is not None
                    assert member.objectives is not None
                    right = engine.problem.evaluate(member.bits[None])[0]
                    assert member.objectives.tolist() == right.tolist()
    assert waited > 0


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("most", [2, 3, 50])
def test_several_at_once_are_those_one_after_the_other(seed: int, most: int) -> None:
    together = make(seed)
    while len(together.evaluations) < 150:
        for candidate in itertools.islice(iter(together.ask, None), most):
            answer(together, candidate)
    assert rows(together)[:150] == one_after_the_other(seed)


@functools.cache
def one_after_the_other(seed: int) -> list[bytes]:
    return rows(run(make(seed), 150))


@pytest.mark.parametrize("seed", [0, 1, 2, 20, 34])
def test_giving_back_changes_nothing(seed: int) -> None:
    def searched(disturbed: bool) -> bytes:
        engine, rng = make(seed), np.random.default_rng(seed + 99)
        while len(engine.evaluations) < 80:
            asked = list(itertools.islice(iter(engine.ask, None), 4))
            if disturbed and rng.random() < 0.5:
                for candidate in reversed(asked):
                    engine.give_back(candidate)
                continue
            for candidate in asked:
                answer(engine, candidate)
        return engine.evaluations.bits[:80].tobytes()

    assert searched(disturbed=True) == searched(disturbed=False)


def test_who_waits_for_what_is_given_back_under_a_new_pin_is_not_lost() -> None:
    engine = make(5, retries=0)
    asked: list[Candidate] = []
    while not len(engine.state.queue):
        for candidate in asked:
            answer(engine, candidate)
        asked = list(iter(engine.ask, None))
    for candidate in reversed(asked):
        engine.give_back(candidate)
    assert not engine.out
    engine.steering.pin({0: 8})
    generation = engine.generation
    while engine.generation == generation:
        unfinished = [m for members in engine.population.members for m in members if m.objectives is None]
        assert set(engine.state.queue) >= set(unfinished)
        step(engine)


def tiny(**more: Any) -> tuple[ToyProblem, Study]:
    problem = ToyProblem(num_nodes=3, bit_widths=FEW)
    return problem, create_study(problem, **more)


def until_exhausted(study: Study, budget: int = 200) -> None:
    with pytest.warns(NemoWarning, match="every configuration.* has been evaluated"):
        study.optimize(budget, progress=False)
    assert study.state == "finished"
    assert study.snapshot.exhausted


@pytest.mark.parametrize(("seed", "workers", "species"), [(0, 1, None), (1, 1, QUICK), (2, 4, QUICK)])
def test_a_tiny_space_is_evaluated_to_its_end(seed: int, workers: int, species: Any) -> None:
    problem, study = tiny(seed=seed, workers=workers, species=species)
    until_exhausted(study)
    found = [row.tobytes() for row in study.snapshot.evaluations.bits]
    assert sorted(found) == sorted(TINY)
    assert problem.calls == 27
    until_exhausted(study)
    assert problem.calls == 27


def test_a_tiny_space_under_a_pin_and_after_it() -> None:
    problem, study = tiny(seed=3, species=QUICK)
    study.pin("layer0.weight", 4)
    until_exhausted(study)
    pinned = {row for row in TINY if row[1] == 4}
    assert sorted(row.tobytes() for row in study.snapshot.evaluations.bits) == sorted(pinned)
    study.unpin()
    assert not study.snapshot.exhausted
    until_exhausted(study)
    assert sorted(row.tobytes() for row in study.snapshot.evaluations.bits) == sorted(TINY)
    study.enqueue(2)  # hand-made: once more all the same
    assert study.snapshot.waiting == 1
    until_exhausted(study)
    assert study.snapshot.waiting == 0
    assert problem.calls == 28


def test_a_budget_that_ends_with_the_space_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", NemoWarning)
        _, study = tiny(seed=4, species=QUICK)
        study.optimize(27, progress=False)
    assert len({row.tobytes() for row in study.snapshot.evaluations.bits}) == 27
    until_exhausted(study)
