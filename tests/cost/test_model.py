"""The cost model as people call it: exact cases, monotony, and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nemo_lab import CostModel, Workload
from nemo_lab.errors import ArgumentError, BitWidthError


@pytest.fixture(params=["digits", "fashion"])
def workload(request: pytest.FixtureRequest) -> Workload:
    found: Workload = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("width", [1, 2, 3, 5, 8, 16, 32])
def test_uniform_widths_give_exact_ratios(workload: Workload, width: int) -> None:
    bits = np.full((1, len(workload.nodes)), width)
    assert CostModel(workload, "max").evaluate(bits).tolist() == [[width / 32, width / 32]]
    assert CostModel(workload, "product").evaluate(bits).tolist() == [[width / 32, width * width / 1024]]


@pytest.mark.parametrize("bitops", ["max", "product"])
def test_more_bits_never_cost_less(workload: Workload, bitops: Any) -> None:
    costs = CostModel(workload, bitops)
    base = np.random.default_rng(0).integers(2, 8, len(workload.nodes))
    wider = base + np.eye(len(base), dtype=int)  # row i: node i one bit wider
    before, after = costs.evaluate(base), costs.evaluate(wider)
    assert np.all(after >= before)
    weights = np.array([node.kind == "weight" for node in workload.nodes])
    assert np.all(after[weights, 0] > before[0, 0])
    assert np.all(after[~weights, 0] == before[0, 0])
    if bitops == "product":
        used = sorted({i for layer in workload.layers for i in (layer.weight, layer.activation)})
        assert np.all(after[used, 1] > before[0, 1])


def test_one_configuration_is_one_row(digits: Workload) -> None:
    bits = np.random.default_rng(1).integers(2, 9, (5, 36))
    costs = CostModel(digits)
    together = costs.evaluate(bits)
    assert together.shape == (5, 2)
    for row, expected in zip(bits, together, strict=True):
        assert costs.evaluate(row).tolist() == [expected.tolist()]
    assert costs.evaluate(bits.astype(np.float64)).tolist() == together.tolist()
    assert costs.evaluate(bits.tolist()).tolist() == together.tolist()
    assert costs.evaluate(np.asfortranarray(bits)).tolist() == together.tolist()


@pytest.mark.parametrize(
    ("bits", "message"),
    [
        ([8] * 35, r"shape \(35,\); give one width for each of the 36 nodes"),
        (np.full((2, 3, 36), 8), "give one width for each of the 36 nodes"),
        ([[8] * 36, [8] * 35], "give one width for each of the 36 nodes"),
        ([4.5] * 36, "not whole numbers"),
        ([float("nan")] * 36, "not whole numbers"),
        ([True] * 36, "not whole numbers"),
        (["8"] * 36, "not whole numbers"),
        ([0] * 36, "bit-width 0 is not allowed; choose from 1 to 32"),
        ([33] * 36, "bit-width 33 is not allowed"),
        ([-8] * 36, "bit-width -8 is not allowed"),
        ([264] * 36, "bit-width 264 is not allowed"),  # 264 is 8 in uint8
        ([float("inf")] * 36, "inf is not allowed"),
    ],
)
def test_bits_that_do_not_fit_are_refused(digits: Workload, bits: Any, message: str) -> None:
    with pytest.raises(BitWidthError, match=message):
        CostModel(digits).evaluate(bits)


def test_unknown_bitops(digits: Workload) -> None:
    with pytest.raises(ArgumentError, match="'sum'; use 'max' or 'product'"):
        CostModel(digits, "sum")  # type: ignore[arg-type]
