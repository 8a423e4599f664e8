"""The kernels equal a plain NumPy oracle on any graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nemo_lab.cost.kernels import bitop_ratio, model_ratio
from tests.cost import oracle


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, Any]:
    nodes = draw(st.integers(2, 12))
    layers = draw(st.integers(1, 10))
    node = st.integers(0, nodes - 1)
    size = st.integers(1, 10**9)
    rows = draw(st.integers(1, 4))
    widths = draw(st.lists(st.integers(1, 32), min_size=rows * nodes, max_size=rows * nodes))
    return {
        "bits": np.array(widths, dtype=np.uint8).reshape(rows, nodes),
        "weights": np.array(draw(st.lists(node, min_size=layers, max_size=layers)), dtype=np.int64),
        "activations": np.array(draw(st.lists(node, min_size=layers, max_size=layers)), dtype=np.int64),
        "params": np.array(draw(st.lists(size, min_size=layers, max_size=layers)), dtype=np.float64),
        "macs": np.array(draw(st.lists(size, min_size=layers, max_size=layers)), dtype=np.float64),
    }


@given(graphs())
def test_model_ratio_equals_the_oracle(graph: dict[str, Any]) -> None:
    got = model_ratio(graph["bits"], graph["weights"], graph["params"])
    expected = oracle.model_ratio(graph["bits"], graph["weights"], graph["params"])
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=0)


@given(graphs(), st.sampled_from(["max", "product"]))
def test_bitop_ratio_equals_the_oracle(graph: dict[str, Any], bitops: str) -> None:
    layers = (graph["weights"], graph["activations"], graph["macs"])
    got = bitop_ratio(graph["bits"], *layers, bitops == "product")
    expected = oracle.bitop_ratio(graph["bits"], *layers, bitops)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=0)
