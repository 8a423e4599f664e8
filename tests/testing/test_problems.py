"""check_problem passes what keeps its promises and names the one that is broken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nemo_lab import NemoError, QuantizationProblem
from nemo_lab.testing import ContractError, check_problem
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


@pytest.mark.parametrize(
    ("breaking", "message"),
    [
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
        (change(cost_names=("size", "watts")), "cost 'watts' is not an objective"),
        (change(cost_names=()), r"shape \(4, 2\), with cost_names \(\); return float\[N, 0\]"),
        (change(costs=lambda bits: np.zeros((len(bits), 0))), r"cost_names .*; return float\[N, 2\]"),
        (change(costs=spoiling), "costs changed the bits it was given; work on a copy"),
        (change(objective_bounds=np.array([[0.0] * 3, [1.0, 1.0, np.inf]])), "bounds are not finite"),
        (change(objective_bounds=np.array([[0.0] * 3, [1.0, -1.0, 1.0]])), "a best above its worst"),
        (change(objective_bounds=np.zeros((2, 2))), r"objective_bounds have shape \(2, 2\)"),
    ],
)
def test_a_broken_promise_is_named(
    toy: ToyProblem, breaking: Callable[[ToyProblem], None], message: str
) -> None:
    bounds = toy.objective_bounds  # the toy derives them from its costs, which may be broken
    fixed = type("Fixed", (ToyProblem,), {"objective_bounds": bounds})()
    breaking(fixed)
    with pytest.raises(ContractError, match=message) as caught:
        check_problem(fixed)
    assert isinstance(caught.value, NemoError)
    assert caught.value.hint


def test_missing_members_are_listed() -> None:
    with pytest.raises(ContractError, match=r"lacks num_nodes, .*, evaluate; add the members"):
        check_problem(object())


def test_another_workload_than_what_is_searched_is_refused(digits_problem: QuantizationProblem) -> None:
    class Wrong(ToyProblem):
        workload = digits_problem.workload

    with pytest.raises(ContractError, match="the workload has 36 nodes, the problem 6"):
        check_problem(Wrong())
