"""Integer and surrogate species, and the options of graph species, on problems of many shapes."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

from nemo_lab import NemoWarning, QuantizationProblem, create_study
from nemo_lab.search import Constraints, Engine, SearchOptions
from nemo_lab.search.archive import EvaluationLog, ParetoFront
from nemo_lab.search.constraints import Pins
from nemo_lab.search.indicators import hypervolume
from nemo_lab.search.problem import bounds_of
from nemo_lab.search.species import make_species, ssne
from nemo_lab.search.species.graph import GcnSpecies, UnetSpecies
from nemo_lab.search.species.integer import IntegerSpecies
from nemo_lab.search.species.surrogate import SurrogateSpecies
from nemo_lab.search.surrogate.proposer import Proposer
from nemo_lab.search.view import SearchView
from nemo_lab.testing import check_species
from tests.search.shapes import PROBLEMS
from tests.toy import ToyProblem


def seen(problem: Any, count: int, pins: Pins | None = None, limits: Any = None) -> SearchView:
    """A search after ``count`` random evaluations."""
    rules, rng = Constraints(limits=limits or {}).holding(pins or {}), np.random.default_rng(5)
    log, front = EvaluationLog(problem.num_nodes, len(problem.objective_names)), ParetoFront()
    for bits in rng.choice(problem.bit_widths, size=(count, problem.num_nodes)).astype(np.uint8):
        objectives = problem.evaluate(rules.apply(bits, problem)[None])[0]
        log.append(bits=bits, objectives=objectives, species=-1, origin=0, generation=0)
    front.rebuild(log.view(), rules)
    return SearchView(
        log.view(),
        front.ids,
        rules.allowed(problem),
        rules.box(bounds_of(problem)),
        lambda bits: log.find(bits) is not None,
    )


@pytest.mark.parametrize("name", ["integer", "surrogate"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_they_keep_their_promises_and_search(name: str, problem: str) -> None:
    made = PROBLEMS[problem]()
    check_species(name, made, options=SearchOptions(surrogate_pool=4))
    expected = min(30, len(made.bit_widths) ** made.num_nodes)
    constant = pytest.warns(NemoWarning, match="the same for every configuration: size, work;")
    with constant if problem == "one width" else nullcontext():
        study = create_study(made, species=(name, "floor"), population=6, seed=2)
    with pytest.warns(NemoWarning, match="nothing left") if expected < 30 else nullcontext():
        study.optimize(30, progress=False)
    log = study.snapshot.evaluations
    assert len(log) == len(np.unique(log.bits, axis=0)) == expected


@pytest.mark.parametrize("name", ["integer", "surrogate"])
def test_a_population_of_one_searches(name: str) -> None:
    study = create_study(ToyProblem(), species=(name,), population=1, min_size=1, seed=0)
    assert len(study.optimize(25, progress=False).evaluations()) == 25


def propose(problem: Any, view: SearchView, count: int = 24, **options: Any) -> np.ndarray:
    chosen = SearchOptions(**options)
    rng = np.random.default_rng(0)
    parents = SurrogateSpecies(problem, chosen).initial(32, rng)
    return np.array(Proposer(problem, chosen).propose(view, parents, count, rng))


@pytest.mark.parametrize(
    "pins", [{}, {0: 8}, {0: 8, 1: 2, 2: 4, 3: 5}, {0: (4, 6), 2: 3}, dict.fromkeys(range(6), (3, 5))]
)
def test_proposals_are_new_different_and_as_pinned(toy: ToyProblem, pins: Pins) -> None:
    view = seen(toy, 30, pins)
    made = propose(toy, view)
    assert len(made) > 8
    assert len(np.unique(made, axis=0)) == len(made)
    assert not any(view.known(row) for row in made)
    for node, pin in pins.items():
        low, high = pin if isinstance(pin, tuple) else (pin, pin)
        assert low <= made[:, node].min() <= made[:, node].max() <= high


def test_nothing_is_proposed_where_everything_is_known_or_pinned() -> None:
    problem = ToyProblem(2, (4, 8))
    view = seen(problem, 40)
    assert propose(problem, view).size == 0
    assert propose(ToyProblem(), seen(ToyProblem(), 3, dict.fromkeys(range(6), 4))).size == 0


def test_proposals_fall_into_the_box_or_come_near(toy: ToyProblem) -> None:
    limit = 0.11
    view = seen(toy, 30, limits={1: limit})
    free = toy.costs(propose(toy, seen(toy, 30), surrogate_explore=0.0))[:, 0]
    held = toy.costs(propose(toy, view, 8, surrogate_explore=0.0))[:, 0]
    assert (held <= limit + 1e-3).mean() > 0.8
    assert (free <= limit).mean() < 0.5


def test_proposals_beat_variations_of_the_front(toy: ToyProblem) -> None:
    view = seen(toy, 40)
    bounds, log = toy.objective_bounds, view.evaluations
    integer = IntegerSpecies(toy, SearchOptions())
    integer.observe(view)
    varied = np.array(
        integer.offspring(integer.initial(4, np.random.default_rng(0)), 16, np.random.default_rng(0))
    )
    with_proposals, with_varied = (
        hypervolume(np.vstack([log.objectives, toy.evaluate(bits)]), bounds)
        for bits in (propose(toy, view, 16), varied)
    )
    assert with_proposals > with_varied > hypervolume(log.objectives, bounds)


def test_integer_children_come_from_parents_and_the_front(toy: ToyProblem) -> None:
    species = IntegerSpecies(toy, SearchOptions())
    rng = np.random.default_rng(0)
    parents = [np.full(6, 2, dtype=np.uint8)] * 2
    near = np.array(species.offspring(parents, 200, rng))
    assert np.median((near == 2).mean(axis=1)) >= 0.5
    view = seen(toy, 1, dict.fromkeys(range(6), 8))
    species.observe(view)
    both = np.array(species.offspring(parents, 400, rng))
    wide = ((both >= 7).mean(axis=1) > 0.5).mean()
    assert 0.3 < wide < 0.7, "half of the children are of the front"


@pytest.mark.parametrize("kind", [GcnSpecies, UnetSpecies])
def test_sampled_widths_carry_their_noise(kind: Any, digits_problem: QuantizationProblem) -> None:
    plain, sample = (kind(digits_problem, SearchOptions(gnn_decode=how)) for how in ("argmax", "sample"))
    genome = sample.initial(1, np.random.default_rng(0))[0]
    assert genome[-1].shape == (36, 7)
    assert len(genome) == len(sample.shapes) == len(plain.shapes) + 1
    widths = np.asarray(digits_problem.bit_widths)
    assert np.array_equal(sample.decode(genome), widths[(sample.logits(genome) + genome[-1]).argmax(axis=1)])
    assert np.array_equal(sample.decode(genome), sample.decode(genome))
    quiet = (*genome[:-1], np.zeros_like(genome[-1]))
    assert np.array_equal(sample.decode(quiet), plain.decode(genome[:-1]))
    assert not np.array_equal(sample.decode(genome), sample.decode(quiet))
    options = SearchOptions(mutation_prob=1.0, mutation_fraction=0.5, crossover_prob=0.0)
    child = ssne.mutate(genome, np.random.default_rng(1), options)
    assert 0.3 < (child[-1] != genome[-1]).mean() < 0.6, "noise is mutated like any parameter"
    assert not np.array_equal(sample.decode(child), sample.decode(genome))


@pytest.mark.parametrize("name", ["gcn", "unet"])
@pytest.mark.parametrize(
    "options", [{"gnn_decode": "sample"}, {"gnn_position": 3}, {"gnn_start": "plain"}], ids=str
)
def test_graph_options_keep_promises(name: str, options: Any, toy: ToyProblem) -> None:
    check_species(name, toy, options=SearchOptions(**options))


def test_positions_tell_alike_nodes_apart(toy: ToyProblem) -> None:
    toy.node_features = np.ones((6, 4), dtype=np.float32)
    toy.edges = np.empty((2, 0), dtype=np.int64)
    blind, placed = (GcnSpecies(toy, SearchOptions(gnn_position=n)) for n in (0, 2))
    assert placed.features.shape == (6, 4 + 2 * 2)
    for species, distinct in ((blind, False), (placed, True)):
        logits = species.logits(species.initial(1, np.random.default_rng(0))[0])
        assert bool(np.ptp(logits, axis=0).max() > 1e-3) is distinct


def test_a_plain_start_leans_nowhere(digits_problem: QuantizationProblem) -> None:
    spread, plain = (GcnSpecies(digits_problem, SearchOptions(gnn_start=how)) for how in ("spread", "plain"))
    means = [
        np.array([s.decode(g).mean() for g in s.initial(12, np.random.default_rng(0))])
        for s in (spread, plain)
    ]
    assert np.ptp(means[0]) > 3
    logits = [s.logits(s.initial(1, np.random.default_rng(0))[0]) for s in (spread, plain)]
    assert logits[0].std(axis=0) == pytest.approx(np.ones(7), abs=0.01)
    assert logits[1].std(axis=0).max() < 0.9


def test_the_same_seed_gives_the_same_search() -> None:
    def bits() -> bytes:
        problem, options = (
            ToyProblem(),
            SearchOptions(population=8, min_size=2, dedupe=True, gnn_decode="sample"),
        )
        engine = Engine(problem, make_species(("gcn", "integer", "surrogate"), problem, options), options, 4)
        for _ in range(40):
            candidate = engine.ask()
            assert candidate is not None
            engine.tell(candidate, problem.evaluate(candidate.bits[None])[0])
        return engine.evaluations.bits.tobytes()

    assert bits() == bits()
