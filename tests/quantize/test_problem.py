"""QuantizationProblem as people call it: objectives, order, side effects, and bad input."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch import fx

from nemo_lab import QuantizationProblem, Workload
from nemo_lab._torch import torch_threads
from nemo_lab.errors import ArgumentError, BitWidthError, DataError
from nemo_lab.workload import Split
from tests.cost import oracle


class Reference(fx.Interpreter):
    """The obvious, slow way: quantize each tensor where it is made, by docs/method.md, section 2."""

    def __init__(self, problem: QuantizationProblem, bits: Any) -> None:
        find, network = problem.workload.find, problem.network()
        super().__init__(network.graph)
        self.widths = {f"quantizer_{i}": int(bits[find(q).index]) for i, q in enumerate(network.activations)}
        self.ranges = {f"quantizer_{i}": network.ranges[q].overall for i, q in enumerate(network.activations)}
        self.weights = {
            node.name.removesuffix(".weight"): int(bits[node.index])
            for node in problem.workload.nodes
            if node.kind == "weight"
        }

    def quantized(self, x: torch.Tensor, low: float, high: float, bits: int) -> torch.Tensor:
        low, high = min(low, 0.0), max(high, 0.0)
        s = (high - low) / (2**bits - 1)
        z = round(-(2 ** (bits - 1)) - low / s)
        q = torch.clamp(torch.round(x / s) + z, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        return (q - z) * s

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        if target in self.widths:
            return self.quantized(args[0], *self.ranges[target], self.widths[target])
        if target in self.weights:
            layer = self.fetch_attr(target)
            full = layer.weight.data
            low, high = float(full.min()), float(full.max())
            layer.weight.data = self.quantized(full, low, high, self.weights[target])
            try:
                return layer(*args)
            finally:
                layer.weight.data = full
        return super().call_module(target, args, kwargs)


def random_bits(count: int, nodes: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(2, 9, (count, nodes))


@pytest.mark.parametrize("name", ["digits", "fashion"])
def test_evaluate_equals_a_slow_reference(request: pytest.FixtureRequest, name: str) -> None:
    workload: Workload = request.getfixturevalue(name)
    assert workload.data is not None
    problem = QuantizationProblem(workload)
    inputs = torch.from_numpy(workload.data.search.inputs)
    labels = torch.from_numpy(workload.data.search.labels)
    rows = np.vstack([random_bits(4, problem.num_nodes), np.full((1, problem.num_nodes), 6)])
    got = problem.evaluate(rows)
    for row, objectives in zip(rows, got, strict=True):
        with torch.no_grad():
            predicted = Reference(problem, row).run(inputs).argmax(1)
        assert objectives[0] == pytest.approx(float((predicted != labels).double().mean()), abs=1e-12)
        expected = oracle.ratios(workload, row[None], "max")[0]
        assert objectives[1:] == pytest.approx(expected, rel=1e-12)


def test_order_and_company_do_not_matter(digits_problem: QuantizationProblem) -> None:
    rows = random_bits(5, digits_problem.num_nodes, seed=3)
    together = digits_problem.evaluate(rows)
    assert np.array_equal(digits_problem.evaluate(rows[::-1])[::-1], together)
    assert np.array_equal(np.vstack([digits_problem.evaluate(row) for row in rows]), together)
    digits_problem.full_precision_error()
    assert np.array_equal(digits_problem.evaluate(rows), together)


def test_the_users_module_stays_as_it_was(digits: Workload) -> None:
    before = {name: value.clone() for name, value in digits.module.state_dict().items()}
    problem = QuantizationProblem(digits)
    problem.evaluate(np.full(problem.num_nodes, 2))
    after = digits.module.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_bounds_hold_and_product_costs_less(digits: Workload) -> None:
    problem = QuantizationProblem(digits, bitops="product", bit_widths=(2, 4, 8))
    rows = np.random.default_rng(0).choice([2, 4, 8], (4, problem.num_nodes))
    low, high = problem.objective_bounds
    assert low.tolist() == [0, 2 / 32, 4 / 1024]
    assert high.tolist() == [1, 8 / 32, 64 / 1024]
    objectives = problem.evaluate(rows)
    assert np.all((objectives >= low) & (objectives <= high))
    assert np.array_equal(objectives[:, 1:], problem.costs(rows))


def test_top5_is_never_worse_than_top1(digits: Workload, digits_problem: QuantizationProblem) -> None:
    rows = np.vstack([np.full((1, 36), 2), np.full((1, 36), 4)])
    top5 = QuantizationProblem(digits, metric="top5").evaluate(rows)[:, 0]
    top1 = digits_problem.evaluate(rows)[:, 0]
    assert np.all(top5 < top1)


def test_torch_threads_are_given_back(digits_problem: QuantizationProblem) -> None:
    before = torch.get_num_threads()
    with torch_threads(2):
        digits_problem.evaluate(np.full(36, 8))
        assert torch.get_num_threads() == 2
        with pytest.raises(BitWidthError):
            digits_problem.evaluate(np.full(36, 9))
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == before


def test_many_threads_get_the_same_answers(digits_problem: QuantizationProblem) -> None:
    rows = random_bits(8, 36, seed=5)
    expected = digits_problem.evaluate(rows)
    with ThreadPoolExecutor(4) as pool:
        got = np.vstack(list(pool.map(digits_problem.evaluate, rows)))
    assert np.array_equal(got, expected)


GOOD = np.zeros((4, 1, 8, 8), dtype=np.float32)
HOLED = GOOD.copy()
HOLED[2, 0, 3, 3] = np.nan
LABELS = np.zeros(4, dtype=np.int64)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"calibration": HOLED}, "calibration has NaN or infinity, first in example 2; remove"),
        ({"calibration": np.where(np.isnan(HOLED), np.inf, HOLED)}, "NaN or infinity, first in example 2"),
        ({"calibration": GOOD[:0]}, "give at least one example"),
        ({"calibration": np.zeros((4, 3, 8, 8))}, "calibration.*shape"),
        ({"data": (HOLED, LABELS)}, "data has NaN or infinity, first in example 2"),
        ({"data": (GOOD[:0], LABELS[:0])}, "data has shape.*give at least one example"),
        ({"data": (GOOD, LABELS[:3])}, "4 inputs but 3 labels; give one label per input"),
        ({"data": (GOOD, LABELS.astype(float))}, r"labels have shape \(4,\) and type float64; give integers"),
        ({"data": (GOOD, np.zeros((4, 10), dtype=int))}, "give integers"),
        ({"data": (np.zeros((4, 3, 8, 8)), LABELS)}, "data.*shape"),
        ({"data": (np.float32(1), LABELS)}, "data|inputs"),
        ({"data": GOOD}, r"data has no labels; give a Split, a pair \(inputs, labels\)"),
    ],
)
def test_data_that_does_not_fit_is_refused(digits: Workload, arguments: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        QuantizationProblem(digits, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metric": "top2"}, "no metric 'top2'; use one of top1, top5"),
        ({"bit_widths": ()}, "give ascending whole numbers, each 2 to 16"),
        ({"bit_widths": (1, 2)}, "each 2 to 16"),
        ({"bit_widths": (8, 17)}, "each 2 to 16"),
        ({"bit_widths": (8, 4)}, "ascending"),
        ({"bit_widths": (4, 4)}, "ascending"),
        ({"bit_widths": (2.5, 4)}, "whole numbers"),
        ({"bitops": "sum"}, "bitops='sum'; give 'max' or 'product'"),
    ],
)
def test_arguments_out_of_range_are_refused(digits: Workload, arguments: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        QuantizationProblem(digits, **arguments)


def test_widths_that_are_not_allowed(digits: Workload) -> None:
    problem = QuantizationProblem(digits, bit_widths=(4, 8))
    for bits in (np.full(36, 6), np.full(36, 2), np.full(36, 4.5), np.full(35, 8)):
        with pytest.raises(BitWidthError, match=r"choose from 4, 8|whole numbers|each of the 36 nodes"):
            problem.evaluate(bits)


def test_a_workload_without_data_says_what_to_pass(digits: Workload) -> None:
    bare = Workload.from_module(digits.module, torch.zeros(digits.example_shapes[0]), name="mine")
    with pytest.raises(
        DataError, match="'mine' came without data, and calibration= is missing; pass calibration="
    ):
        QuantizationProblem(bare)
    assert digits.data is not None
    data = Split(digits.data.search.inputs[:50], digits.data.search.labels[:50])
    problem = QuantizationProblem(bare, calibration=digits.data.calibration.inputs, data=data)
    assert problem.evaluate(np.full(36, 8))[0, 0] <= 0.1
