"""check_problem passes what keeps its promises and names the one that is broken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nemo_lab import QuantizationProblem, create_study
from nemo_lab.errors import ArgumentError, ContractError
from nemo_lab.search import Problem
from nemo_lab.testing import check_problem, check_species
from tests.toy import ToyProblem


def test_quantization_keeps_its_promises(digits_problem: QuantizationProblem) -> None:
    check_problem(digits_problem)


@pytest.mark.parametrize("widths", [(2, 3, 4, 5, 6, 7, 8), (2, 4, 8), (4,)])
def test_a_toy_keeps_its_promises(widths: tuple[int, ...]) -> None:
    check_problem(ToyProblem(4, widths))


def test_optional_members_are_optional() -> None:
    class Plain:
        num_nodes, node_names, bit_widths, objective_names = 2, ("a", "b"), (2, 8), ("x", "y")
        node_features, edges = np.zeros((2, 1)), np.zeros((2, 0), dtype=int)

        def evaluate(self, bits: Any) -> Any:
            return np.column_stack([bits[:, 0] / 8, 1 - bits[:, 1] / 8])

    check_problem(Plain())


def change(**members: Any) -> Callable[[ToyProblem], None]:
    def apply(problem: ToyProblem) -> None:
        for name, value in members.items():
            setattr(problem, name, value)

    return apply


def evaluator(function: Callable[[ToyProblem, Any], Any]) -> Callable[[ToyProblem], None]:
    def apply(problem: ToyProblem) -> None:
        setattr(problem, "evaluate", lambda bits: function(problem, bits))  # noqa: B010

    return apply


def overwriting(problem: ToyProblem, bits: Any) -> Any:
    answer = ToyProblem.evaluate(problem, bits)
    bits[:] = 2
    return answer


def spoiling(bits: Any) -> Any:
    answer = ToyProblem().costs(bits)
    bits[:] = 2
    return answer


def drifting(problem: ToyProblem, bits: Any) -> Any:
    answer = ToyProblem.evaluate(problem, bits)
    answer[:, 0] += 1e-3 * problem.calls
    return answer


SAID = [  # to be seen without an evaluation
    (change(num_nodes=0), "num_nodes is 0"),
    (change(node_names=("a", "b")), "2 node_names for 6 nodes; give one name per node"),
    (change(node_names=("a",) * 6), "node_names has 'a' twice"),
    (change(objective_names=()), "objective_names"),
    (change(bit_widths=(8, 4)), "ascending"),
    (change(bit_widths=(2.5, 4)), "whole numbers"),
    (change(node_features=np.zeros((5, 3))), r"node_features have shape \(5, 3\)"),
    (change(node_features=np.full((6, 3), np.nan)), "replace NaN"),
    (change(edges=np.zeros((3, 2), dtype=int)), r"give int\[2, E\]"),
    (change(edges=np.array([[0], [6]])), "use positions from 0 to 5"),
    (change(cost_names=("size", "watts")), "cost 'watts' is not an objective"),
    (change(objective_bounds=np.array([[0.0] * 3, [1.0, 1.0, np.inf]])), "bounds are not finite"),
    (change(objective_bounds=np.array([[0.0] * 3, [1.0, -1.0, 1.0]])), "a best above its worst"),
    (change(objective_bounds=np.zeros((2, 2))), r"objective_bounds have shape \(2, 2\)"),
    (change(num_nodes=True), "num_nodes is True"),
    (change(num_nodes=6.0), "num_nodes is 6.0; make it a whole number"),
    (change(node_names="abcdef"), "node_names are 'abcdef'; give a tuple of texts"),
    (change(node_names=(1, 2, 3, 4, 5, 6)), r"node_names are \(1, 2"),
    (change(objective_names=("loss", "", "size")), "give a tuple of texts that are not blank"),
    (change(objective_names=("loss", "\ud800", "size")), "give a tuple of texts"),
    (change(objective_names=("loss", "loss", "size")), "objective_names has 'loss' twice"),
    (change(bit_widths=()), "bit_widths are ()"),
    (change(bit_widths="248"), "bit_widths are '248'"),
    (change(bit_widths=(2, 4, 300)), "from 1 to 32"),
    (change(bit_widths=(True, 4)), "whole numbers"),
    (change(edges=None), "cannot be searched: it lacks edges"),
    (change(node_features=[[1], [2, 3]]), r"node_features are \[\[1\], \[2, 3\]\]; give float"),
    (change(objective_bounds=[[0], [1, 2]]), r"objective_bounds are \[\[0\], \[1, 2\]\]; give float"),
    (change(objective_bounds=np.full((2, 3), "a")), "objective_bounds are array"),
    (change(cost_names="size"), "cost_names are 'size'; give a tuple"),
    (change(title=3), "title is 3; give a text"),
    (change(title=lambda: "x"), "title is a method; make it a property"),
    (change(metric=None), "metric is None; give a text"),
    (change(error=3), "error is 3; make it a method, or leave it out"),
    (change(workload=3), r"workload is 3; give a nemo_lab\.Workload"),
]
DONE = [
    (
        change(objectives=("a", "b", "c")),
        "objectives of .* are .*; give a tuple of nemo_lab.objective.Objective",
    ),
    (evaluator(lambda p, bits: np.zeros((len(bits), 2))), "instead of"),
    (evaluator(lambda p, bits: np.full((len(bits), 3), np.nan)), "loss that is not finite"),
    (evaluator(lambda p, bits: np.zeros((1, 3))), "one row per configuration"),
    (evaluator(overwriting), "changed the bits it was given; work on a copy"),
    (evaluator(drifting), "other objectives for the same configurations"),
    (
        evaluator(lambda p, bits: np.sort(ToyProblem.evaluate(p, bits), axis=0)),
        "depend on their order",
    ),
    (
        evaluator(lambda p, bits: ToyProblem.evaluate(p, bits) / len(bits)),
        "depend on what else is evaluated",
    ),
    (evaluator(lambda p, bits: ToyProblem.evaluate(p, bits) + 1), "left its bounds"),
    (change(costs=lambda bits: np.zeros((len(bits), 2))), "costs and evaluate disagree"),
    (change(costs=lambda bits: np.zeros(len(bits))), "one column per cost"),
    (change(cost_names=()), r"shape \(4, 2\), with cost_names \(\); return float\[N, 0\]"),
    (change(costs=lambda bits: np.zeros((len(bits), 0))), r"cost_names .*; return float\[N, 2\]"),
    (change(costs=spoiling), "costs changed the bits it was given; work on a copy"),
]


@pytest.mark.parametrize(("breaking", "message"), [*SAID, *DONE])
def test_a_broken_promise_is_named(
    toy: ToyProblem, breaking: Callable[[ToyProblem], None], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message) as caught:
        check_problem(broken(toy, breaking))
    assert caught.value.hint


@pytest.mark.parametrize(("breaking", "message"), SAID)
def test_every_door_says_the_same(
    toy: ToyProblem, breaking: Callable[[ToyProblem], None], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "run.sqlite"
    for enter in (
        lambda problem: create_study(problem, storage=path),
        lambda problem: create_study(problem, species=["floor"], population=8),
        lambda problem: check_species("floor", problem),
    ):
        with pytest.raises(ArgumentError, match=message):
            enter(broken(toy, breaking))
    assert not path.exists()


def broken(toy: ToyProblem, breaking: Callable[[ToyProblem], None]) -> ToyProblem:
    bounds = toy.objective_bounds  # the toy derives them from its costs, which may be broken
    fixed = type("Fixed", (ToyProblem,), {"objective_bounds": bounds})()
    breaking(fixed)
    return fixed


def test_a_class_is_not_taken_for_an_object_of_it() -> None:
    for kind in (ToyProblem, QuantizationProblem):
        for refuse in (check_problem, create_study):
            with pytest.raises(ContractError, match=f"{kind.__name__} is a class; give an object of it"):
                refuse(kind)


def test_missing_members_are_listed() -> None:
    with pytest.raises(ContractError, match=r"object cannot be searched; give a workload's name, .*Problem"):
        check_problem(object())
    part = type("Part", (Problem,), {"num_nodes": 3, "evaluate": None})
    for refuse in (check_problem, create_study):
        with pytest.raises(
            ContractError, match=r"Part cannot be searched: it lacks node_names, bit_widths, .*edges"
        ):
            refuse(part())


def test_another_workload_than_what_is_searched_is_refused(digits_problem: QuantizationProblem) -> None:
    class Wrong(ToyProblem):
        workload = digits_problem.workload

    with pytest.raises(ContractError, match="the workload has 36 nodes, the problem 6"):
        check_problem(Wrong())
