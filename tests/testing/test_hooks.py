"""A slip in the name of a hook is found, whatever the hook, and nothing of our own is taken for one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from nemo_lab import QuantizationProblem
from nemo_lab.search import Problem, SearchOptions
from nemo_lab.search.species import NAMES, Species, make_species
from nemo_lab.search.species.real import FloorSpecies
from nemo_lab.study.journal import StoredProblem
from nemo_lab.testing import ContractError, check_problem, check_species, reference_problems
from nemo_lab.testing.hooks import check_hooks, hooks_of
from tests.toy import ToyProblem


def slips(name: str) -> Iterator[str]:
    """One letter dropped, doubled, or swapped with the next."""
    for i, letter in enumerate(name):
        yield name[:i] + name[i + 1 :]
        yield name[:i] + letter + name[i:]
        if i + 1 < len(name):
            yield name[:i] + name[i + 1] + letter + name[i + 2 :]


def misspelt(base: type, hook: str) -> list[str]:
    """Misspellings of a hook; a slip that is private or another hook is none."""
    return [slip for slip in sorted(set(slips(hook)) - hooks_of(base)) if slip[0] != "_"]


def test_the_hooks_are_those_that_the_engine_reads() -> None:
    assert hooks_of(Species) >= {
        "name", "summary", "final", "initial", "offspring", "decode", "imitate",
        "observe", "state_dict", "load_state_dict",
    }  # fmt: skip
    assert hooks_of(Problem) >= {
        "num_nodes", "node_names", "bit_widths", "objective_names", "node_features", "edges", "evaluate",
        "objective_bounds", "cost_names", "costs", "workload", "cost_model", "topology", "title",
        "metric", "error", "sqnr", "quantizer", "fingerprint",
    }  # fmt: skip


@pytest.mark.parametrize("hook", sorted(hooks_of(Species)))
def test_every_slip_in_a_hook_of_species_is_refused(hook: str) -> None:
    assert len(misspelt(Species, hook)) >= 2 * len(hook) - 2
    for slip in misspelt(Species, hook):
        for kind in (FloorSpecies, object):
            mine = type("Mine", (kind,), {slip: getattr(FloorSpecies, hook)})
            with pytest.raises(ContractError, match=rf"'{slip}' looks like the hook '{hook}'"):
                check_hooks(mine, Species)


@pytest.mark.parametrize("hook", sorted(hooks_of(Problem)))
def test_every_slip_in_a_hook_of_problems_is_refused(hook: str) -> None:
    assert len(misspelt(Problem, hook)) >= 2 * len(hook) - 2
    for slip in misspelt(Problem, hook):
        with pytest.raises(ContractError, match=rf"'{slip}' looks like the hook '{hook}'"):
            check_hooks(type("Mine", (ToyProblem,), {slip: None})(), Problem)


@pytest.mark.parametrize("slip", ["obserb", "offsprings", "stat_dict", "finale", "load_statedict"])
def test_check_species_refuses_a_slip(slip: str, toy: ToyProblem) -> None:
    kind = type("Mine", (FloorSpecies,), {slip: lambda self, *given: None})
    for given in (kind, kind(toy, SearchOptions()), lambda *made: kind(*made)):
        with pytest.raises(ContractError, match=rf"'{slip}' looks like the hook"):
            check_species(given, toy)


@pytest.mark.parametrize("slip", ["cost_name", "objective_bound", "evalute", "finger_print", "worklaod"])
def test_check_problem_refuses_a_slip(slip: str, toy: ToyProblem) -> None:
    with pytest.raises(ContractError, match=rf"'{slip}' looks like the hook"):
        check_problem(type("Mine", (ToyProblem,), {slip: ()})())
    if slip not in ("cost_name", "objective_bound", "evalute"):  # the toy has these hooks itself
        setattr(toy, slip, ())
        with pytest.raises(ContractError, match=rf"'{slip}' looks like the hook"):
            check_problem(toy)


def test_a_slip_in_a_method_that_has_to_be_there_is_named_before_what_is_missing(toy: ToyProblem) -> None:
    members = {hook: getattr(FloorSpecies, hook) for hook in ("initial", "decode", "imitate")}
    kind = type("Mine", (Species,), {**members, "name": "mine", "summary": "x", "ofspring": None})
    with pytest.raises(ContractError, match="'ofspring' looks like the hook 'offspring'"):
        check_species(kind, toy)
    delattr(kind, "ofspring")
    with pytest.raises(ContractError, match="Mine lacks offspring; add the members"):
        check_species(kind, toy)


def test_nothing_of_our_own_is_taken_for_a_slip(digits_problem: QuantizationProblem, toy: ToyProblem) -> None:
    for one in make_species(NAMES, digits_problem, SearchOptions()):
        check_hooks(one, Species)
        check_hooks(type(one), Species)
    for problem in (digits_problem, toy, *reference_problems(), StoredProblem.of(toy)):
        check_hooks(problem, Problem)
        check_hooks(type(problem), Problem)


def test_a_name_beside_its_hook_is_no_slip(toy: ToyProblem) -> None:
    class Watching(FloorSpecies):
        observed: Any = None
        decoder = None

        def observe(self, view: Any) -> None:
            self.observed = self.observes = view

        def decode(self, genome: Any) -> Any:
            return super().decode(genome)

    class Own(ToyProblem):
        errors = 0

        def error(self, bits: Any, data: Any, metric: Any = None, *, count: bool = False) -> Any:
            return np.zeros(len(bits))

    check_species(Watching, toy)
    check_hooks(Own(), Problem)


def test_names_that_are_merely_alike_are_left_alone(toy: ToyProblem) -> None:
    for name in ("widths", "features", "bounds", "nodes", "state", "network", "settings", "initialise"):
        check_hooks(type("Mine", (ToyProblem,), {name: 1})(), Problem)
        check_hooks(type("Mine", (FloorSpecies,), {name: 1})(toy, SearchOptions()), Species)


@pytest.mark.parametrize(
    ("base", "hook", "member", "message"),
    [
        (FloorSpecies, "observe", lambda self: None, r"observe takes \(\); it is called as observe\(view\)"),
        (FloorSpecies, "offspring", lambda self, parents: [], r"called as offspring\(parents, count, rng\)"),
        (FloorSpecies, "state_dict", None.__class__, None),
        (FloorSpecies, "state_dict", 3, r"state_dict is 3; make it a method state_dict\(\)"),
        (FloorSpecies, "final", lambda self: True, "final is a method; make it a property"),
        (FloorSpecies, "name", lambda self: "me", "name is a method; make it a property"),
        (ToyProblem, "costs", np.zeros((1, 2)), r"costs is .*; make it a method costs\(bits\)"),
        (ToyProblem, "cost_names", lambda self: (), "cost_names is a method; make it a property"),
        (ToyProblem, "objective_bounds", lambda self: 0, "objective_bounds is a method; make it a property"),
        (ToyProblem, "quantizer", lambda self, name: 0, r"called as quantizer\(name, bits\)"),
        (ToyProblem, "sqnr", np.ones(3), "sqnr is .*; make it a method, or leave it out"),
        (ToyProblem, "title", 3, "title is 3; give a text"),
        (ToyProblem, "fingerprint", lambda self: {}, "fingerprint returned {}"),
        (ToyProblem, "fingerprint", lambda self: {"data": 3}, "return a dict of texts"),
        (ToyProblem, "topology", np.array([[0], [9]]), "topology name nodes that do not exist"),
    ],
)
def test_a_right_name_of_the_wrong_kind_is_refused(
    base: Any, hook: str, member: Any, message: str | None, toy: ToyProblem
) -> None:
    kind = type("Mine", (base,), {hook: member})
    check, given = (check_species, (kind, toy)) if base is FloorSpecies else (check_problem, (kind(),))
    if message is None:
        check(*given)
        return
    with pytest.raises(ContractError, match=message):
        check(*given)
