"""Generations of the ask/tell engine: sizes, order, determinism."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from nemo_lab.errors import ArgumentError, UnknownNameError
from nemo_lab.search import ORIGINS, Candidate, Engine, SearchOptions
from nemo_lab.search.archive import front_ids
from nemo_lab.search.species import Species, make_species
from tests.toy import ToyProblem


def make_engine(seed: int = 0, species: Sequence[Any] = ("continuous", "floor"), **options: Any) -> Engine:
    problem = ToyProblem()
    chosen = SearchOptions(**{"population": 12, "min_size": 2, **options})
    return Engine(problem, make_species(species, problem, chosen), chosen, seed)


def step(engine: Engine) -> Candidate:
    candidate = engine.ask()
    assert candidate is not None
    engine.tell(candidate, engine.problem.evaluate(candidate.bits[None])[0])
    return candidate


def run(engine: Engine, count: int) -> Engine:
    for _ in range(count):
        step(engine)
    return engine


class Uneven(Species):
    """A species whose members all decode to one width, so that its utility is known."""

    summary = "one width for all"

    def __init__(self, name: str, width: int) -> None:
        self.name, self.width = name, width

    def initial(self, count: int, rng: np.random.Generator) -> list[Any]:
        return [object() for _ in range(count)]

    def offspring(self, parents: Sequence[Any], count: int, rng: np.random.Generator) -> list[Any]:
        return [object() for _ in range(count)]

    def decode(self, genome: Any) -> np.ndarray:
        return np.full(6, self.width, dtype=np.uint8)

    def imitate(self, bits: np.ndarray, rng: np.random.Generator) -> list[Any]:
        return [object() for _ in bits]


def test_each_generation_doubles_and_survival_keeps_the_population() -> None:
    engine = run(make_engine(), 12)
    log = engine.evaluations
    assert {ORIGINS[o] for o in log.origin} == {"initial"}
    assert np.bincount(log.species).tolist() == [6, 6]
    for generation in range(1, 8):
        sizes = [int(size) for size in engine.population.allocation]  # of the generation that ends now
        step(engine)
        assert engine.generation == generation
        assert engine.population.allocation.sum() == 12
        assert engine.population.allocation.min() >= 2
        if generation == 1:
            assert engine.population.allocation.tolist() == sizes
        held = [len(members) for members in engine.population.members]
        assert held == [2 * size for size in engine.population.allocation]
        while len(engine.state.queue):
            step(engine)
        log = engine.evaluations
        born = log.species[(log.generation == generation) & (log.origin == ORIGINS.index("offspring"))]
        assert np.bincount(born, minlength=2).tolist() == engine.population.allocation.tolist()


def test_history_tells_of_every_generation() -> None:
    engine = run(make_engine(), 60)
    assert [record.generation for record in engine.history] == list(range(engine.generation))
    for record in engine.history:
        assert [one.species for one in record.species] == ["continuous", "floor"]
        assert sum(one.allocation for one in record.species) == 12
        assert sum(one.evaluations for one in record.species) == record.evaluations
        assert sum(one.front_share for one in record.species) == pytest.approx(1)
    volumes = [record.hypervolume for record in engine.history]
    assert volumes == sorted(volumes)
    assert 0 < volumes[0] <= volumes[-1] <= 1


def test_a_better_species_gets_more_and_the_gap_is_filled_by_chance() -> None:
    """Utilities are 1 and 0 for ever, so without exploration the worse one falls to its floor."""
    problem = ToyProblem()
    options = SearchOptions(population=12, min_size=1, ucb_c=0.0)
    engine = Engine(problem, (Uneven("good", 5), Uneven("bad", 8)), options, 0)
    run(engine, 24)
    assert engine.population.allocation.tolist() == [6, 6]
    step(engine)  # the first survival: 12 evaluated members of "good" for its 11 slots
    assert engine.population.allocation.tolist() == [11, 1]
    engine = Engine(problem, (Uneven("good", 5), Uneven("bad", 8)), options, 0)
    run(engine, 24)
    del engine.population.members[0][:8]  # as if they had never been
    step(engine)
    assert len(engine.population.members[0]) == 2 * 11
    while len(engine.state.queue):
        step(engine)
    origins = engine.evaluations.origin[24:]
    assert np.count_nonzero(origins == ORIGINS.index("random")) == 11 - 4


def test_without_resizing_allocations_stay() -> None:
    engine = run(make_engine(resize=False), 80)
    assert all(one.allocation == 6 for record in engine.history for one in record.species)


def test_answers_may_come_out_of_order() -> None:
    engine = make_engine()
    candidates = [engine.ask() for _ in range(12)]
    assert engine.ask() is None, "the next generation needs the answers of this one"
    for number, candidate in enumerate(reversed(candidates)):
        assert candidate is not None
        config = engine.tell(candidate, engine.problem.evaluate(candidate.bits[None])[0])
        assert config == number
        assert np.array_equal(engine.evaluations.bits[config], candidate.bits)
        assert engine.front.tolist() == front_ids(engine.evaluations, {}).tolist()
    run(engine, 12)
    assert engine.generation == 1


def test_what_is_given_back_comes_next() -> None:
    engine = run(make_engine(), 3)
    first, second = engine.ask(), engine.ask()
    assert first is not None
    assert second is not None
    engine.give_back(first)
    again = engine.ask()
    assert again is not None
    assert again.bits.tolist() == first.bits.tolist()
    assert again.member is first.member


@pytest.mark.parametrize("species", [("continuous", "floor"), ("gcn", "unet")])
def test_the_seed_decides_everything(species: tuple[str, ...]) -> None:
    logs = [run(make_engine(seed, species), 40).evaluations for seed in (5, 5, 6)]
    assert logs[0].bits.tobytes() == logs[1].bits.tobytes()
    assert logs[0].objectives.tobytes() == logs[1].objectives.tobytes()
    assert logs[0].bits.tobytes() != logs[2].bits.tobytes()


def test_a_small_population_still_has_every_species() -> None:
    engine = run(make_engine(species=("continuous", "floor"), population=1, min_size=4), 20)
    assert engine.population.allocation.tolist() == [1, 1]


def test_options_and_species_are_checked() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'population'"):
        SearchOptions.make(populaton=3)
    for bad in (
        {"population": 0},
        {"min_size": 1.5},
        {"gnn_edges": "both"},
        {"ucb_c": -1},
        {"population": True},
    ):
        with pytest.raises(ArgumentError, match=next(iter(bad))):
            SearchOptions.make(**bad)
    with pytest.raises(UnknownNameError, match="did you mean 'continuous'"):
        make_engine(species=("continous",))
    with pytest.raises(ArgumentError, match="no species given"):
        make_engine(species=())
    with pytest.raises(ArgumentError, match="repeat a name"):
        make_engine(species=("floor", "floor"))
