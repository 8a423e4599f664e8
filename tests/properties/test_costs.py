"""The kernels equal a plain NumPy oracle on any workload."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nemo_lab import CostModel, Workload
from tests.cost import oracle
from tests.cost.build import node, workload

SIZES = st.one_of(st.integers(1, 100), st.integers(1, 10**11))
BITOPS: Any = st.sampled_from(["max", "product"])
SCALES: Any = st.sampled_from(["none", "per_tensor", "per_channel"])


@st.composite
def workloads(draw: st.DrawFn, kept: bool = True) -> Workload:
    count = draw(st.integers(1, 70))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    nodes = [
        node(i, params=draw(SIZES) if rng.random() < 0.5 or i == 0 else 0,
             channels=rng.integers(1, 9, rng.integers(1, 4)).tolist())
        for i in range(count)
    ]  # fmt: skip
    layers: list[tuple[tuple[int | None, int | None], int]] = [  # neighbours, as in a chain
        ((left + 1, left), int(rng.integers(1, 10**9))) for left in range(count - 1) if rng.random() < 0.5
    ]
    end = st.integers(0, count - 1)
    ends = st.tuples(st.none() | end, st.none() | end) if kept else st.tuples(end, end)
    layers += draw(st.lists(st.tuples(ends, SIZES), min_size=1, max_size=12))
    return workload(nodes, layers, draw(st.lists(st.tuples(SIZES, SIZES), max_size=2)) if kept else ())


def random_bits(seed: int, rows: int, nodes: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 33, (rows, nodes), dtype=np.uint8)


@given(workloads(), BITOPS, SCALES, st.integers(0, 150), st.integers(0, 99))
def test_costs_equal_the_oracle(w: Workload, bitops: Any, scales: Any, rows: int, seed: int) -> None:
    bits = random_bits(seed, rows, len(w.nodes))
    costs = CostModel(w, bitops, scales=scales)
    got = costs.evaluate(bits)
    np.testing.assert_array_equal(got, oracle.ratios(w, bits, bitops, scales))  # whole numbers below 2**53
    absolute = costs.absolute(bits)
    np.testing.assert_allclose(absolute[:, 0], oracle.model_bits(w, bits, scales) / 8e6, rtol=1e-12)
    np.testing.assert_allclose(absolute[:, 1], oracle.bit_operations(w, bits, bitops) / 1e9, rtol=1e-12)


@given(workloads(), BITOPS, SCALES, st.booleans(), st.integers(0, 99))
def test_neighbours_are_whole_rows_to_the_last_bit(
    w: Workload, bitops: Any, scales: Any, tabled: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rows = {one.name: dict(enumerate(rng.random(32).tolist(), 1)) for one in w.nodes}
    costs = CostModel(w, bitops, scales=scales, tables={"latency": rows} if tabled else None)
    nodes = len(w.nodes)
    bits, widths = random_bits(seed, 1, nodes)[0], rng.choice(np.arange(1, 33), 5, replace=False)
    whole = np.tile(bits, (nodes, 5, 1))
    for q in range(nodes):
        whole[q, :, q] = widths
    expected = costs.evaluate(whole.reshape(-1, nodes)).T.reshape(-1, nodes, 5)
    assert np.array_equal(costs.neighbours(bits, widths), expected)


@given(workloads(), BITOPS, SCALES, st.integers(1, 31))
def test_a_wider_node_never_costs_less(w: Workload, bitops: Any, scales: Any, base: int) -> None:
    costs = CostModel(w, bitops, scales=scales)
    bits = random_bits(base, 1, len(w.nodes)) % 31 + 1
    wider = bits + np.eye(len(w.nodes), dtype=np.uint8)
    assert np.all(costs.evaluate(wider) >= costs.evaluate(bits))
    low, high = costs.bounds(range(1, 33))
    assert np.all(costs.evaluate(bits) >= low)
    assert np.all(costs.evaluate(bits) <= high)


@given(workloads(kept=False), BITOPS, st.integers(1, 32))
def test_a_uniform_width_is_that_share_of_the_model(w: Workload, bitops: Any, width: int) -> None:
    costs = CostModel(w, bitops)
    square = width / 32 if bitops == "max" else width**2 / 1024
    assert costs.uniform(width) == (width / 32, square)
    bits = np.full((1, len(w.nodes)), width, np.uint8)
    np.testing.assert_allclose(costs.evaluate(bits)[0], costs.uniform(width), rtol=1e-15)
    if w.params * 32 * 32 < 2**53:
        assert costs.evaluate(bits)[0, 0] == width / 32


@given(workloads(), BITOPS, st.integers(0, 99))
def test_the_order_of_nodes_and_rows_does_not_matter(w: Workload, bitops: Any, seed: int) -> None:
    bits = random_bits(seed, 70, len(w.nodes))
    order = np.random.default_rng(seed).permutation(len(w.nodes))  # new column i is old column order[i]
    place = np.argsort(order).tolist()
    moved = dataclasses.replace(
        w,
        nodes=tuple(dataclasses.replace(w.nodes[old], index=new) for new, old in enumerate(order)),
        layers=tuple(
            dataclasses.replace(
                layer, operands=tuple(None if end is None else place[end] for end in layer.operands)
            )
            for layer in w.layers
        ),
    )
    got = CostModel(w, bitops).evaluate(bits)
    again = CostModel(moved, bitops).evaluate(np.ascontiguousarray(bits[:, order]))
    np.testing.assert_allclose(again, got, rtol=1e-14)
    assert np.array_equal(CostModel(w, bitops).evaluate(bits[::-1].copy()), got[::-1])


@given(workloads(), BITOPS)
def test_two_threads_at_once_get_what_one_gets(w: Workload, bitops: Any) -> None:
    costs = CostModel(w, bitops)
    parts = [random_bits(seed, 500, len(w.nodes)) for seed in range(4)]
    alone = [costs.evaluate(part) for part in parts]
    with ThreadPoolExecutor(2) as pool:
        for got, expected in zip(pool.map(costs.evaluate, parts), alone, strict=True):
            assert np.array_equal(got, expected)
