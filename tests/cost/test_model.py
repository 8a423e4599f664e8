"""The cost model as people call it: exact cases, absolute numbers, and errors."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from nemo_lab import CostModel, Workload
from nemo_lab.cost import as_bits
from nemo_lab.errors import ArgumentError, BitWidthError
from tests.cost import oracle
from tests.cost.build import chain, node, workload

SMALL = workload(  # activation, weight of 100, weight of 50
    [node(0), node(1, 100, channels=(10,)), node(2, 50, channels=(5, 3))],
    [((1, 0), 1000), ((2, 0), 200), ((None, 0), 30)],
    [(10, 7)],
)


@pytest.fixture
def thirty_six() -> Workload:
    return chain(18)


@pytest.mark.parametrize("width", [1, 2, 3, 5, 8, 16, 32])
def test_uniform_widths_give_exact_ratios(thirty_six: Workload, width: int) -> None:
    bits = np.full((1, 36), width)
    linear, square = CostModel(thirty_six, "max"), CostModel(thirty_six, "product")
    assert linear.evaluate(bits).tolist() == [[width / 32, width / 32]] == [list(linear.uniform(width))]
    assert square.evaluate(bits).tolist() == [[width / 32, width**2 / 1024]] == [list(square.uniform(width))]


def test_a_case_by_hand() -> None:
    bits = [4, 8, 2]
    stored = 100 * 8 + 50 * 2 + 10 * 32
    assert CostModel(SMALL).evaluate(bits).tolist() == [
        [stored / (160 * 32), (1000 * 8 + 200 * 4 + 30 * 32 + 7 * 32) / (1237 * 32)]
    ]
    work = 1000 * 32 + 200 * 8 + 30 * 4 * 32 + 7 * 1024
    assert CostModel(SMALL, "product").evaluate(bits)[0, 1] == work / (1237 * 1024)
    per_tensor = CostModel(SMALL, scales="per_tensor").evaluate(bits)[0, 0]
    assert per_tensor == (stored + 4 * 32 + (4 + 8 + 2 + 2)) / (160 * 32)
    per_channel = CostModel(SMALL, scales="per_channel").evaluate(bits)[0, 0]
    assert per_channel == (stored + (1 + 10 + 8) * 32 + (4 + 10 * 8 + 8 * 2)) / (160 * 32)


def test_absolute_numbers_by_hand() -> None:
    costs = CostModel(SMALL)
    megabytes, giga = costs.absolute([4, 8, 2])[0]
    assert megabytes == pytest.approx((100 * 8 + 50 * 2 + 10 * 32) / 8 / 1e6, rel=1e-15)
    assert giga == pytest.approx((1000 * 8 + 200 * 4 + 37 * 32) / 1e9, rel=1e-15)
    assert costs.full_precision == (160 * 4 / 1e6, 1237 * 32 / 1e9)
    assert CostModel(SMALL, "product").full_precision[1] == 1237 * 1024 / 1e9
    frame = costs.to_frame([[4, 8, 2], [8, 8, 8]])
    assert list(frame) == ["model_ratio", "bitop_ratio", "model_mb", "gbops"]
    np.testing.assert_allclose(frame["model_mb"], frame["model_ratio"] * costs.full_precision[0])
    np.testing.assert_allclose(frame["gbops"], frame["bitop_ratio"] * costs.full_precision[1])


@pytest.mark.parametrize("bitops", ["max", "product"])
@pytest.mark.parametrize("scales", ["none", "per_tensor", "per_channel"])
def test_bounds_are_reached_and_uniform_agrees(bitops: Any, scales: Any) -> None:
    costs = CostModel(SMALL, bitops, scales=scales)
    low, high = costs.bounds((8, 2, 4))
    assert [low.tolist(), high.tolist()] == costs.evaluate([[2] * 3, [8] * 3]).tolist()
    assert costs.uniform(4) == tuple(costs.evaluate([4] * 3)[0])


def test_one_configuration_is_one_row(thirty_six: Workload) -> None:
    bits = np.random.default_rng(1).integers(2, 9, (5, 36))
    costs = CostModel(thirty_six)
    together = costs.evaluate(bits)
    assert together.shape == (5, 2)
    for row, expected in zip(bits, together, strict=True):
        assert costs.evaluate(row).tolist() == [expected.tolist()]
    small = bits.astype(np.uint8)
    for same in (bits.astype(float), bits.tolist(), np.asfortranarray(bits), small, small[::-1][::-1]):
        assert costs.evaluate(same).tolist() == together.tolist()
    assert costs.evaluate(small[0]).tolist() == together[:1].tolist()
    assert costs.evaluate(np.empty((0, 36), np.uint8)).shape == (0, 2)


def test_a_large_population_from_two_threads_at_once(thirty_six: Workload) -> None:
    bits = np.random.default_rng(2).integers(1, 33, (200_000, 36), dtype=np.uint8)
    costs = CostModel(thirty_six)
    expected = oracle.ratios(thirty_six, bits, "max")
    with ThreadPoolExecutor(2) as pool:
        for got in pool.map(costs.evaluate, [bits, bits]):
            np.testing.assert_allclose(got, expected, rtol=1e-12)
    bits[-1, 3] = 33
    with pytest.raises(BitWidthError, match="bit-width 33 is not allowed; choose from 1 to 32"):
        costs.evaluate(bits)


BAD: list[tuple[Any, str]] = [
    ([8] * 35, r"shape \(35,\); give one width for each of the 36 nodes"),
    (np.full(35, 8, np.uint8), r"shape \(35,\); give one width for each of the 36 nodes"),
    (np.full((2, 3, 36), 8), "give one width for each of the 36 nodes"),
    ([[8] * 36, [8] * 35], "give one width for each of the 36 nodes"),
    ([4.5] * 36, "not whole numbers"),
    ([float("nan")] * 36, "not whole numbers"),
    ([True] * 36, "not whole numbers"),
    (["8"] * 36, "not whole numbers"),
    ([0] * 36, "bit-width 0 is not allowed; choose from 1 to 32"),
    (np.zeros((1, 36), np.uint8), "bit-width 0 is not allowed; choose from 1 to 32"),
    (np.full((70, 36), 255, np.uint8), "bit-width 255 is not allowed"),
    ([33] * 36, "bit-width 33 is not allowed"),
    ([-8] * 36, "bit-width -8 is not allowed"),
    ([264] * 36, "bit-width 264 is not allowed"),  # 264 is 8 in uint8
    ([float("inf")] * 36, "inf is not allowed"),
]


@pytest.mark.parametrize(("bits", "message"), BAD)
def test_bits_that_do_not_fit_are_refused(thirty_six: Workload, bits: Any, message: str) -> None:
    with pytest.raises(BitWidthError, match=message):
        CostModel(thirty_six).evaluate(bits)


def test_allowed_widths() -> None:
    given = np.array([[2, 8]], dtype=np.uint8)
    assert as_bits(given, 2, (2, 8)).tolist() == [[2, 8]]
    for wrong in ([[2, 3]], [[2, -254]], [[2, 258]], np.array([[2, 3]], np.uint8)):
        with pytest.raises(BitWidthError, match="is not allowed; choose from 2, 8"):
            as_bits(wrong, 2, (2, 8))


def test_unknown_options(thirty_six: Workload) -> None:
    with pytest.raises(ArgumentError, match="bitops='sum'; give 'max' or 'product'"):
        CostModel(thirty_six, "sum")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"'rows'.*'per_channel'"):
        CostModel(thirty_six, scales="rows")  # type: ignore[arg-type]
    with pytest.raises(BitWidthError, match=r"widths=.*; give at least one bit-width"):
        CostModel(thirty_six).bounds([])


def test_a_ratio_of_nothing_is_refused() -> None:
    with pytest.raises(ArgumentError, match="has no weights"):
        CostModel(workload([node(0), node(1)], [((0, 1), 5)]))
    with pytest.raises(ArgumentError, match="has no multiply-accumulates"):
        CostModel(workload([node(0, 5)], []))


def test_huge_coefficients_are_not_cut_off() -> None:
    big = workload([node(0), node(1, 3**25), node(2, 7)], [((1, 0), 3**26 + 1), ((2, 0), 1)])
    bits = np.random.default_rng(0).integers(1, 33, (9, 3))
    for bitops in ("max", "product"):
        got = CostModel(big, bitops).evaluate(bits)  # type: ignore[arg-type]
        np.testing.assert_allclose(got, oracle.ratios(big, bits, bitops), rtol=1e-15)


def test_numba_waits_for_the_first_evaluation() -> None:
    code = (
        "import sys; from tests.cost.build import chain; from nemo_lab import CostModel; "
        "c = CostModel(chain(3)); c.uniform(4), c.bounds((2, 8)); assert 'numba' not in sys.modules; "
        "c.evaluate([4] * 6); assert 'numba' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_processors_without_vector_instructions_get_the_same(tmp_path: Any) -> None:
    code = (
        "import numpy as np; from tests.cost import oracle; from tests.cost.build import chain; "
        "from nemo_lab import CostModel; w = chain(20); "
        "b = np.random.default_rng(0).integers(1, 33, (99, 40)); "
        "e = [np.testing.assert_array_equal(CostModel(w, f).evaluate(b), oracle.ratios(w, b, f)) "
        "for f in ('max', 'product')]"
    )
    environment = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, **environment})


def test_neighbours_by_hand() -> None:
    costs = CostModel(SMALL)
    found = costs.neighbours([4, 8, 2], (2, 16))
    assert found.shape == (2, 3, 2)
    assert found[:, 0, 0].tolist() == costs.evaluate([2, 8, 2])[0].tolist()
    assert found[:, 2, 1].tolist() == costs.evaluate([4, 8, 16])[0].tolist()
    assert costs.neighbours(np.array([4, 8, 2], np.uint8), []).shape == (2, 3, 0)


@pytest.mark.parametrize(("bits", "widths", "message"), [
    ([4, 8], (2,), "give one width for each of the 3 nodes"),
    ([[4, 8, 2]] * 2, (2,), "2 configurations; give one"),
    ([4, 8, 0], (2,), "bit-width 0 is not allowed"),
    (np.array([4, 8, 40], np.uint8), (2,), "bit-width 40 is not allowed"),
    ([4, 8, 2], (2, 33), "bit-width 33 is not allowed"),
    ([4, 8, 2], np.array([2, 0], np.uint8), "bit-width 0 is not allowed"),
    ([4, 8, 2], (2.5,), "not whole numbers"),
])  # fmt: skip
def test_neighbours_that_do_not_fit_are_refused(bits: Any, widths: Any, message: str) -> None:
    with pytest.raises(BitWidthError, match=message):
        CostModel(SMALL).neighbours(bits, widths)


def test_neighbours_of_a_width_that_a_table_lacks_are_refused() -> None:
    rows = {one.name: {4: 1.0, 8: 2.0, **({2: 0.5} if one.index != 1 else {})} for one in SMALL.nodes}
    costs = CostModel(SMALL, tables={"latency": rows})
    assert costs.neighbours([4, 8, 2], (4, 8))[2].tolist() == [[3.5, 4.5], [2.5, 3.5], [4.0, 5.0]]
    with pytest.raises(BitWidthError, match=r"'n1.weight' at 2 bits; it has the widths 4, 8"):
        costs.neighbours([4, 8, 2], (2, 4))


def test_bits_that_may_not_be_written_to_cost_the_same(digits: Workload) -> None:
    bits = np.random.default_rng(2).integers(2, 9, (7, 36), dtype=np.uint8)
    frozen = bits.copy()
    frozen.flags.writeable = False
    costs = CostModel(
        digits, tables={"latency": {name: dict.fromkeys(range(1, 33), 1.0) for name in digits.names}}
    )
    assert costs.evaluate(frozen).tolist() == costs.evaluate(bits).tolist()
    assert costs.neighbours(frozen[0], (2, 8)).tolist() == costs.neighbours(bits[0], (2, 8)).tolist()
    assert costs.absolute(frozen[:1]).tolist() == costs.absolute(bits[:1]).tolist()
