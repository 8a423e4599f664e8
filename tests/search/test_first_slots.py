"""Who is evaluated first, and how a population grows, in the default preset and its options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nemo_lab as nl
from nemo_lab.search.archive import ORIGINS
from nemo_lab.search.members import NO_SPECIES
from tests.toy import Foreseeing, ToyProblem

WIDTHS = 7


def told() -> Foreseeing:
    """A problem of which a sensitivity is known, with enough nodes to search."""
    return Foreseeing(num_nodes=12)


def made(problem: Any, evaluations: int = 60, **options: Any) -> nl.Study:
    return nl.create_study(problem, seed=2, **options).optimize(evaluations, progress=False)


def species_of(study: nl.Study, generation: int) -> list[str]:
    log = study.snapshot.evaluations
    names = [one.name for one in study.species]
    return [names[s] for s in log.species[log.generation == generation] if s != NO_SPECIES]


def test_nothing_comes_before_uniform_widths_and_the_species_that_reads_the_sensitivity() -> None:
    study = made(told())
    log = study.snapshot.evaluations
    assert (log.species[:WIDTHS] == NO_SPECIES).all()
    assert np.ptp(log.bits[:WIDTHS], axis=1).max() == 0
    assert species_of(study, 0) == []
    assert species_of(study, 1) == ["surrogate"] * 8
    assert {*species_of(study, 2), *species_of(study, 3), *species_of(study, 4)} > {"surrogate"}


def test_without_a_sensitivity_the_first_generation_is_shared_evenly() -> None:
    counts = np.unique(species_of(made(ToyProblem(12)), 1), return_counts=True)[1]
    assert len(counts) == 6
    assert np.ptp(counts) <= 1


def test_what_people_decided_of_the_species_comes_first() -> None:
    study = nl.create_study(told(), seed=2)
    study.share("gcn", 0.5)
    study.remove_species("unet")
    study.optimize(WIDTHS + 8, progress=False)
    first = species_of(study, 1)
    assert first.count("gcn") == 4
    assert "unet" not in first
    assert first.count("surrogate") >= 3


def test_the_population_grows_as_children_come() -> None:
    study = made(told(), 80)
    log = study.snapshot.evaluations
    assert "random" not in {ORIGINS[origin] for origin in log.origin}
    born = np.bincount(log.generation)[1:-1]
    assert born.max() <= 8
    filled = made(told(), 80, fill=True).snapshot.evaluations
    assert np.bincount(filled.generation)[2] > 8


@pytest.mark.parametrize("growth", [0.0, 0.1])
def test_generations_grow_with_the_search(growth: float) -> None:
    log = made(told(), 200, offspring_growth=growth).snapshot.evaluations
    before = np.searchsorted(log.generation, np.arange(1, log.generation[-1]))
    born = np.bincount(log.generation)[1:-1]
    assert (born <= np.maximum(8, (growth * before).astype(int))).all()
    assert bool(born.max() > 12) is (growth > 0)


def test_in_the_teaching_preset_every_species_keeps_a_share() -> None:
    study = made(told(), 300, preset="teaching")
    shares = study.history().pivot(index="generation", columns="species", values="allocation")
    assert shares.to_numpy().min() >= 4
    assert (shares.to_numpy() > 4).mean() > 0.8  # more than the least, or there is nothing to watch
    assert shares.to_numpy().sum(axis=1).tolist() == [48] * len(shares)


def test_a_species_without_members_can_be_reseeded() -> None:
    study = nl.create_study(told(), seed=2)
    study.reseed("gcn", fraction=0.5)  # before the first evaluation
    study.optimize(20, progress=False)
    assert species_of(study, 0) == ["gcn"] * 4
    assert species_of(study, 1).count("surrogate") == 8


@pytest.mark.parametrize("species", [None, ("surrogate",), ("gcn", "surrogate")])
@pytest.mark.parametrize("known", [True, False])
def test_it_may_begin_with_nothing_at_all(species: Any, known: bool) -> None:
    problem: Any = told() if known else ToyProblem(12)
    study = made(problem, 40, species=species, uniform=False)
    assert len(study.evaluations()) == 40
    assert len(np.unique(study.snapshot.evaluations.bits, axis=0)) == 40
