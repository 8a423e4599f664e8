"""Weights and activations with widths of their own, up to 16, by kind and by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nemo_lab import CostModel, QuantizationProblem, Workload, check, create_study
from nemo_lab.errors import BitWidthError, NemoError
from nemo_lab.export import load_bits
from nemo_lab.testing import check_problem

OF_KINDS = {"weight": (2, 3, 4, 8), "activation": (8, 16)}


@pytest.fixture(scope="module")
def problem(digits: Workload) -> QuantizationProblem:
    return QuantizationProblem(digits, bit_widths={**OF_KINDS, digits.names[-1]: 8})


def test_every_node_has_its_own(problem: QuantizationProblem) -> None:
    assert problem.bit_widths == (2, 3, 4, 8, 16)
    assert problem.allowed is not None
    for node, row in zip(problem.workload.nodes, problem.allowed, strict=True):
        own = tuple(np.array(problem.bit_widths)[row])
        assert own == ((8,) if node is problem.workload.nodes[-1] else OF_KINDS[node.kind])
    check_problem(problem)


def test_costs_lie_between_what_nodes_can_reach(problem: QuantizationProblem) -> None:
    kinds = np.array([node.kind == "weight" for node in problem.workload.nodes])
    ends = np.stack([np.where(kinds, 2, 8), np.where(kinds, 8, 16)])
    ends[:, -1] = 8
    expected = CostModel(problem.workload).evaluate(ends)
    assert problem.objective_bounds[:, 1:].tolist() == expected.tolist()


def test_tables_too(digits: Workload) -> None:
    table = {
        node.name: {width: width * (node.index + 1.0) for width in (2, 4, 8, 16)} for node in digits.nodes
    }
    model = CostModel(digits, tables={"ms": table})
    widths: Any = {"weight": (2, 4), "activation": (8, 16)}
    made = QuantizationProblem(digits, cost_model=model, bit_widths=widths)
    expected = [
        sum(width * (node.index + 1) for node in digits.nodes for width in [widths[node.kind][end]])
        for end in (0, 1)
    ]
    assert made.objective_bounds[:, -1] == pytest.approx(expected)


def test_a_row_is_measured_as_with_one_list_of_widths(problem: QuantizationProblem, digits: Workload) -> None:
    free = QuantizationProblem(digits, bit_widths=(2, 3, 4, 8, 16))
    bits = [4 if node.kind == "weight" else 16 for node in digits.nodes]
    bits[-1] = 8
    assert problem.evaluate(bits).tolist() == free.evaluate(bits).tolist()
    assert problem.fingerprint()["settings"] != free.fingerprint()["settings"]


def test_what_a_node_may_not_have_is_refused(problem: QuantizationProblem) -> None:
    with pytest.raises(BitWidthError, match=r"may not have 16 bits; choose from 2, 3, 4, 8"):
        problem.evaluate([16] * problem.num_nodes)


def test_the_same_for_all_is_one_list(digits: Workload, digits_problem: QuantizationProblem) -> None:
    widths = {"weight": range(2, 9), "activation": digits_problem.bit_widths}
    made = QuantizationProblem(digits, bit_widths=widths)  # type: ignore[arg-type]
    assert made.allowed is None
    assert made.fingerprint() == digits_problem.fingerprint()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"weight": (2, 4)}, r"bit_widths leave out .*19 of 36.*name 'weight' and 'activation' first"),
        ({}, "leave out"),
        ({"weights": (2, 4)}, "did you mean 'weight'"),
        ({"weight": (4, 2), "activation": 8}, r"bit_widths\['weight'\]=\(4, 2\)"),
        ({"weight": (2, 17), "activation": 8}, "each 2 to 16"),
        ({"weight": True, "activation": 8}, "bit_widths"),
        ({"weight": None, "activation": 8}, "bit_widths"),
    ],
)
def test_what_cannot_be_is_refused(digits: Workload, given: Any, words: str) -> None:
    with pytest.raises(NemoError, match=words):
        QuantizationProblem(digits, bit_widths=given)


def test_a_search_keeps_to_them(problem: QuantizationProblem) -> None:
    study = create_study(problem, seed=0, population=12)
    study.optimize(60, progress=False)
    bits = study.snapshot.evaluations.bits
    widths = np.array(problem.bit_widths)
    assert problem.allowed is not None
    assert problem.allowed[np.arange(problem.num_nodes), np.searchsorted(widths, bits)].all()
    assert {8, 16} <= set(bits.ravel().tolist())


def test_a_check_keeps_to_them(problem: QuantizationProblem) -> None:
    report = check(problem, seconds=0)
    assert report.ok
    bits = [8 for _ in problem.workload.nodes]
    assert report.errors[8] == problem.evaluate(bits)[0, 0]
    assert set(report.errors) == {2, 8}


def test_a_bit_map_keeps_to_them(problem: QuantizationProblem, tmp_path: Path) -> None:
    path = tmp_path / "bits.csv"
    path.write_text("node,bits\nweight,4\nactivation,16\n" + f"{problem.node_names[-1]},8\n")
    expected = [4 if node.kind == "weight" else 16 for node in problem.workload.nodes]
    expected[-1] = 8
    assert load_bits(path, problem).tolist() == expected
    path.write_text("node,bits\n*,8\nstem.conv.weight,16\n")
    with pytest.raises(BitWidthError, match=r"'stem.conv.weight' may not have 16 bits"):
        load_bits(path, problem)
