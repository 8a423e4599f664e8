"""Species and problems that only have the right members are completed, and are otherwise what they were."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nemo_lab import NemoError, Study, create_study, load_study
from nemo_lab.errors import ArgumentError, ContractError
from nemo_lab.export import save_json, to_dict
from nemo_lab.plots import graph_info
from nemo_lab.search import Problem, SearchOptions, adapt_problem
from nemo_lab.search.species import OpaqueError, Species, adapt_species, make_species
from nemo_lab.search.species.integer import IntegerSpecies
from nemo_lab.testing import check_problem, check_species
from tests.toy import ToyProblem


class Plain:
    """A problem with nothing but what is needed."""

    num_nodes, node_names, bit_widths, objective_names = 3, ("a", "b", "c"), (2, 4, 8), ("x", "y")
    node_features, edges = np.eye(3, dtype=np.float32), np.array([[0, 1], [1, 2]])

    def evaluate(self, bits: Any) -> Any:
        b = np.asarray(bits, dtype=float)
        return np.column_stack([b.mean(axis=1) / 8, 1 - b.max(axis=1) / 8])


class Rich(Plain):
    """One with a cost, a title, and a member of its own."""

    objective_bounds = np.array([[0.25, 0.0], [1.0, 0.75]])
    cost_names, title, metric, stretch = ("x",), "a name", "top1", 1.0

    def costs(self, bits: Any) -> Any:
        return np.asarray(bits, dtype=float).mean(axis=1, keepdims=True) / 8

    def fingerprint(self) -> dict[str, str]:
        return {"data": "1"}


def test_a_problem_that_inherits_is_left_as_it_is(toy: ToyProblem) -> None:
    assert adapt_problem(toy) is toy
    assert create_study(toy).problem is toy
    assert adapt_problem(adapt_problem(Plain())).__class__ is adapt_problem(Plain()).__class__


def test_defaults_of_a_plain_problem() -> None:
    problem = adapt_problem(Plain())
    assert problem.objective_bounds.tolist() == [[0, 0], [1, 1]]
    assert problem.costs(np.zeros((4, 3))).shape == (4, 0)
    assert problem.cost_names == ()
    assert (problem.workload, problem.cost_model, problem.error, problem.sqnr) == (None,) * 4
    assert problem.quantizer("a", 4) is None
    assert problem.title == create_study(Plain()).title == "Plain"
    assert problem.topology is Plain.edges
    assert problem.fingerprint() == adapt_problem(Plain()).fingerprint()
    assert problem.fingerprint()["settings"] == f"{Plain.__module__}.Plain"


def test_what_a_problem_says_goes_before_the_defaults_and_is_seen_as_it_changes() -> None:
    rich = Rich()
    problem: Any = adapt_problem(rich)
    assert problem.objective_bounds is Rich.objective_bounds
    assert (problem.title, problem.cost_names, problem.fingerprint()) == ("a name", ("x",), {"data": "1"})
    assert problem.costs(np.full((1, 3), 8)).tolist() == [[1.0]]
    assert problem.stretch == 1.0
    assert not hasattr(problem, "nothing")
    rich.title = "another"
    assert problem.title == "another"
    problem.stretch = 2.0
    assert rich.stretch == 2.0
    assert problem.original is rich
    for other in (copy.deepcopy(problem), pickle.loads(pickle.dumps(problem))):
        assert (other.title, other.stretch) == ("another", 2.0)
        assert other.original is not rich


def test_a_hook_that_fails_is_no_hook_that_is_missing() -> None:
    class Failing(Plain):
        @property
        def objective_bounds(self) -> Any:
            return self.forgotten  # type: ignore[attr-defined]

    with pytest.raises(ContractError, match=r"objective_bounds cannot be read: AttributeError.*forgotten"):
        create_study(Failing())


def test_what_is_missing_is_named() -> None:
    class Half:
        num_nodes, node_names, bit_widths, objective_names = 1, ("a",), (2,), ("x",)

    with pytest.raises(
        ArgumentError, match="type Half cannot be searched: it lacks node_features, edges, eval"
    ):
        create_study(Half())
    with pytest.raises(ArgumentError, match="type int cannot be searched; give"):
        create_study(3)
    with pytest.raises(ArgumentError, match="type Half is not a species: it lacks name, initial"):
        create_study(Plain(), species=[Half()])


@pytest.mark.parametrize("kind", [Plain, Rich])
def test_a_plain_problem_is_searched_drawn_and_saved(kind: Any, tmp_path: Path) -> None:
    check_problem(kind())
    study = create_study(kind(), population=6, seed=1, storage=tmp_path / "run.sqlite")
    study.optimize(20, progress=False)
    whole = study.evaluations(bits=True)
    assert len(graph_info(study.problem).names) == 3
    record = to_dict(study, int(study.front().index[0]))
    assert record["problem"].get("metric") == getattr(kind, "metric", None)
    save_json(study, int(study.front().index[0]), tmp_path / "one.json")
    study.close()
    again = load_study(tmp_path / "run.sqlite", problem=kind())
    assert again.evaluations(bits=True).equals(whole)
    again.close()


def test_defaults_may_be_attributes_properties_or_fields() -> None:
    @dataclass
    class Fields(Problem):
        objective_bounds: Any
        topology: Any
        title: str = "of fields"
        num_nodes, node_names, bit_widths, objective_names = 1, ("a",), (2,), ("x",)
        node_features, edges = np.ones((1, 1), dtype=np.float32), np.zeros((2, 0), dtype=int)

        def evaluate(self, bits: Any) -> Any:
            return np.zeros((len(bits), 1))

    class Assigned(ToyProblem):
        def __init__(self) -> None:
            super().__init__()
            self.title = self.metric = "assigned"  # type: ignore[misc]

    one = Fields(np.array([[0.0], [3.0]]), np.zeros((2, 0), dtype=int))
    assert (one.objective_bounds[1, 0], one.title) == (3.0, "of fields")
    with pytest.raises(TypeError):
        Fields()  # type: ignore[call-arg]  # no default of a base class is taken for that of a field
    assert (Assigned().title, ToyProblem().title) == ("assigned", "ToyProblem")
    with pytest.raises(TypeError, match="abstract"):
        Problem()  # type: ignore[abstract]


class Counting:
    """A species that inherits from nothing: it counts the generations it has seen, and saves that."""

    name, summary = "counting", "the front, one width up for every generation"

    def __init__(self, problem: Any, options: Any) -> None:
        self.widths, self.nodes, self.seen = problem.bit_widths, problem.num_nodes, 0

    def observe(self, view: Any) -> None:
        self.seen = 3 * self.seen + len(view.evaluations)

    def initial(self, count: int, rng: np.random.Generator) -> list[Any]:
        return list(rng.choice(self.widths, size=(count, self.nodes)).astype(np.uint8))

    def offspring(self, parents: Sequence[Any], count: int, rng: np.random.Generator) -> list[Any]:
        children = [parents[int(i)].copy() for i in rng.integers(len(parents), size=count)]
        for child in children:
            child[rng.integers(self.nodes)] = self.widths[self.seen % len(self.widths)]
        return children

    def decode(self, genome: Any) -> Any:
        return genome

    def imitate(self, bits: Any, rng: np.random.Generator) -> list[Any]:
        return list(bits.copy())


class Older(Counting):
    """It saves itself by the names that were used once."""

    loaded = 0

    def state(self) -> Any:
        return {"before": self.seen}

    def restore(self, state: Any) -> None:
        self.seen = state["before"]
        type(self).loaded += 1


class Newer(Counting):
    loaded = 0

    def state_dict(self) -> Any:
        return {"before": self.seen}

    def load_state_dict(self, state: Any) -> None:
        self.seen = state["before"]
        type(self).loaded += 1


class OlderOfOurs(IntegerSpecies):
    """A species of ours, extended with the names that were used once."""

    name, loaded = "older", 0
    seen = 0

    def observe(self, view: Any) -> None:
        super().observe(view)
        self.seen = 3 * self.seen + len(view.evaluations)

    def offspring(self, parents: Sequence[Any], count: int, rng: np.random.Generator) -> list[Any]:
        return super().offspring(parents, count, np.random.default_rng([self.seen, int(rng.integers(2**31))]))

    def state(self) -> Any:
        return [self.seen]

    def restore(self, state: Any) -> None:
        (self.seen,) = state
        type(self).loaded += 1


@pytest.mark.parametrize("kind", [Counting, Older, Newer, OlderOfOurs])
def test_species_of_every_make_are_taken_up_where_they_were(
    kind: Any, toy: ToyProblem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_species(kind, toy)
    given = {"species": ["floor", kind], "population": 8, "min_size": 2, "seed": 4}
    whole = create_study(toy, **given).optimize(90, progress=False).evaluations(bits=True)
    study = create_study(toy, storage=tmp_path / "run.sqlite", **given)
    study.optimize(47, progress=False)
    study.close()
    saves = hasattr(kind, "loaded")
    if saves:
        monkeypatch.setattr(kind, "loaded", 0)
    again = load_study(tmp_path / "run.sqlite", problem=toy, species=[kind])
    assert not saves or kind.loaded == 1, "not gone through again"
    assert again.optimize(until=90, progress=False).evaluations(bits=True).equals(whole)
    again.close()


def test_species_say_what_they_remember_or_that_nobody_knows(toy: ToyProblem) -> None:
    floor, counting, older, newer, ours = (
        make_species([one], toy, SearchOptions())[0] for one in ("floor", Counting, Older, Newer, OlderOfOurs)
    )
    assert floor.state_dict() is None
    assert older.state_dict() == newer.state_dict() == {"before": 0}
    assert ours.state_dict() == [0]
    with pytest.raises(OpaqueError, match="counting observes the search and has no method state_dict"):
        counting.state_dict()

    class Watching(type(floor)):  # type: ignore[misc]
        def observe(self, view: Any) -> None: ...

    with pytest.raises(OpaqueError, match="floor observes the search"):
        Watching(toy, SearchOptions()).state_dict()
    for species in (floor, counting):
        assert species.load_state_dict(None) is None  # type: ignore[func-returns-value]
        assert adapt_species(species, toy) is species
        assert isinstance(species, Species)
        assert species.final is False


class Own:
    """A species that inherits from nothing."""

    name = "own"

    def __init__(self, problem: Any, options: Any) -> None:
        self.nodes = problem.num_nodes

    def initial(self, count: int, rng: np.random.Generator) -> Any:
        return [rng.integers(2, 9, self.nodes) for _ in range(count)]

    def offspring(self, parents: Any, count: int, rng: np.random.Generator) -> Any:
        return self.initial(count, rng)

    def decode(self, genome: Any) -> Any:
        return genome

    def imitate(self, bits: Any, rng: np.random.Generator) -> Any:
        return [row.copy() for row in bits]


def searched(species: Any) -> Study:
    study = create_study(ToyProblem(), species=["floor", species], population=8, min_size=2)
    study.optimize(12, progress=False)
    study.reseed(study.species[1].name, "front", 1.0)
    return study.optimize(12, progress=False)


@pytest.mark.parametrize(
    "decode", [lambda self, genome: genome.tolist(), lambda self, genome: genome.astype("u1")]
)
def test_what_can_be_read_as_widths_is(decode: Any) -> None:
    assert len(searched(type("Fine", (Own,), {"decode": decode})).evaluations()) == 24


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (
            {"decode": lambda self, genome: genome + 10},
            r"'own': decode returned the width 1\d; choose from \(2, 3",
        ),
        ({"decode": lambda self, genome: genome - 300}, "'own': decode returned the width -2"),
        (
            {"decode": lambda self, genome: genome * 1.5},
            r"'own': decode returned float64\[6\]; return uint8\[6\]",
        ),
        ({"decode": lambda self, genome: genome[:3]}, r"decode returned int64\[3\]; return uint8\[6\]"),
        ({"decode": lambda self, genome: genome > 4}, r"decode returned bool\[6\]"),
        ({"decode": lambda self, genome: None}, r"decode returned object\[\]"),
        ({"initial": lambda self, count, rng: []}, "'own': initial returned 0 genomes, asked for"),
        ({"initial": lambda self, count, rng: None}, "initial returned a NoneType"),
        ({"offspring": lambda self, parents, count, rng: parents[:1]}, "offspring of .* returned 1 genomes"),
        ({"imitate": lambda self, bits, rng: []}, "imitate returned 0 genomes, asked for 1"),
        ({"observe": 3}, r"observe is 3; make it a method observe\(view\)"),
        ({"offspring": lambda self, parents: []}, r"it is called as offspring\(parents, count, rng\)"),
        ({"name": None}, "it lacks name"),
        ({"name": 3}, "name is 3; give a text"),
        ({"summary": lambda self: "x"}, "summary is a method; make it a property"),
        ({"final": "no"}, "final is 'no'; make it True or False"),
        (
            {"__init__": lambda self, problem: None},
            r"Bad takes \(problem\); it is called as Bad\(problem, options\)",
        ),
        ({"decode": None}, "Bad is not a species: it lacks decode"),
    ],
)
@pytest.mark.parametrize("base", [Own, type("OwnToo", (Own, Species), {"summary": "x"})])
def test_a_species_that_the_search_would_go_wrong_with_is_refused(
    base: type, member: Any, message: str
) -> None:
    with pytest.raises(NemoError, match=message):
        searched(type("Bad", (base,), member))


def test_a_species_without_all_methods_is_refused() -> None:
    half = type("Half", (Species,), {"name": "half", "summary": "x", "initial": Own.initial})
    with pytest.raises(NemoError, match="Half lacks decode, imitate, offspring; add the members"):
        searched(half)
    with pytest.raises(NemoError, match="an object of type Thing is not a species: it lacks name"):
        searched(type("Thing", (), {})())
