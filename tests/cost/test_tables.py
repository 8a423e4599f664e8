"""Cost tables: by hand, in every form that people give them, and what is wrong with them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nemo_lab import CostModel
from nemo_lab.errors import ArgumentError, BitWidthError, DataError, NemoError, UnknownNameError
from tests.cost.build import node, workload

W = workload(
    [node(0, name="conv.input"), node(1, 9, name="conv.weight", channels=(1, 1), aliases=("kernel",))],
    [((1, 0), 5)],
)
FRAME = pd.DataFrame({2: [1.0, 10.0], 4: [2.0, 5.0]}, index=["conv.input", "conv.weight"])


def test_costs_are_summed_over_nodes() -> None:
    costs = CostModel(W, tables={"latency_ms": FRAME, "energy": FRAME * 3})
    assert costs.cost_names == ("model_ratio", "bitop_ratio", "latency_ms", "energy")
    got = costs.evaluate([[2, 2], [2, 4], [4, 2]])
    assert got[:, 2:].tolist() == [[11, 33], [6, 18], [12, 36]]
    assert got[:, :2].tolist() == CostModel(W).evaluate([[2, 2], [2, 4], [4, 2]]).tolist()
    assert costs.uniform(4)[2:] == (7, 21)
    assert costs.bounds((2, 4))[:, 2:].tolist() == [[6, 18], [12, 36]]
    assert costs.absolute([[2, 2]]).shape == (1, 2)
    expected = ["model_ratio", "bitop_ratio", "model_mb", "gbops", "latency_ms", "energy"]
    frame = costs.to_frame([[2, 4]])
    assert list(frame) == expected
    assert frame["energy"].tolist() == [18]


def test_every_form_gives_the_same(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    FRAME.to_csv(path, index_label="node")
    mapping = {"conv.input": {2: 1, 4: 2}, "kernel": {"2": 10, 4.0: 5}}
    for table in (FRAME, path, str(path), mapping, FRAME.iloc[::-1]):
        assert CostModel(W, tables={"t": table}).evaluate([2, 4])[0, 2] == 6


def test_a_table_can_be_added_later() -> None:
    first = CostModel(W, "product", scales="per_tensor", tables={"a": FRAME})
    second = first.with_table("b", FRAME)
    assert first.cost_names[2:] == ("a",)
    assert second.cost_names[2:] == ("a", "b")
    assert second.evaluate([2, 2]).tolist() == [[*first.evaluate([2, 2])[0].tolist(), 11]]


def test_rows_of_one_node_are_summed() -> None:
    tied = {"conv.input": {2: 1, 4: 1}, "conv.weight": {2: 10, 4: 20}, "conv.weight:1": {2: 5}}
    costs = CostModel(W, tables={"t": tied})
    assert costs.evaluate([2, 2])[0, 2] == 16
    with pytest.raises(BitWidthError, match=r"'t' has no cost of node 'conv.weight' at 4 bits; .*widths 2"):
        costs.evaluate([2, 4])


@pytest.mark.parametrize("ask", [lambda c: c.evaluate([[2, 2], [2, 3]]), lambda c: c.uniform(3),
                                 lambda c: c.bounds((2, 3))])  # fmt: skip
def test_a_width_the_table_lacks(ask: Any) -> None:
    costs = CostModel(W, tables={"latency_ms": FRAME})
    with pytest.raises(BitWidthError, match=r"'latency_ms'.*conv\.\w+' at 3 bits; it has the widths 2, 4"):
        ask(costs)


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        (FRAME.rename(index={"conv.weight": "conv.wieght"}), UnknownNameError, "did you mean 'conv.weight'"),
        (FRAME.iloc[:1], DataError, r"no row for node 'conv.weight' \(1 of 2 are missing\)"),
        (FRAME.iloc[:0], DataError, "is empty"),
        (FRAME[[]], DataError, "is empty"),
        (FRAME.rename(columns={2: "two"}), BitWidthError, "column 'two'"),
        (FRAME.rename(columns={2: 33}), BitWidthError, "column 33"),
        (FRAME.rename(columns={2: 4}), DataError, "two columns 4"),
        (FRAME.iloc[[0, 1, 1]], DataError, "two rows 'conv.weight'"),
        (FRAME.replace(10.0, np.nan), DataError, "cost nan for 'conv.weight' at 2 bits"),
        (FRAME.replace(10.0, np.inf), DataError, "cost inf"),
        (FRAME.replace(10.0, -1.0), DataError, r"cost -1.0 .* 0 or more"),
        ({"conv.input": {2: "fast"}}, DataError, "cost 'fast'"),
        (3, ArgumentError, "is a int; give a DataFrame"),
        ("nowhere/table.csv", DataError, "cannot be read"),
    ],
)
def test_tables_that_cannot_be_used(table: Any, error: type[NemoError], message: str) -> None:
    with pytest.raises(error, match=message):
        CostModel(W, tables={"t": table})


@pytest.mark.parametrize("text", ["", "\n", "node,2,4\n", "a,b\n1,2,3\n1,2,3,4,5\n"])
def test_files_that_are_no_table(tmp_path: Path, text: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(NemoError):
        CostModel(W, tables={"t": path})


@pytest.mark.parametrize("name", ["model_ratio", "gbops", "task_error", "", 3])
def test_names_that_cannot_be_used(name: Any) -> None:
    with pytest.raises(ArgumentError):
        CostModel(W, tables={name: FRAME})
    with pytest.raises(ArgumentError, match="'a' already"):
        CostModel(W, tables={"a": FRAME}).with_table("a", FRAME)


PAIR = workload(
    [
        node(0, name="a.input"),
        node(1, 9, name="a.weight", channels=(1, 1)),  # two tied quantizers
        node(2, name="b.input", aliases=("a.output",)),
        node(3, 9, name="b.weight"),
    ],
    [((1, 0), 5), ((3, 2), 5)],
)


@pytest.mark.parametrize(
    ("rows", "costs"),
    [
        ({"*": 1}, [1, 1, 1, 1]),
        ({"weight": 2, "activation": 1}, [1, 2, 1, 2]),
        ({lambda n: n.params > 0: 2, "*.input": 1}, [1, 2, 1, 2]),
        ({"*": 1, "*.weight": 2, "b.weight": 3}, [1, 2, 1, 3]),  # of several that fit the last counts,
        ({"b.weight": 3, "a.output": 4, "*": 1}, [1, 1, 4, 3]),  # and before them what is for one node
        ({"*": 1, "a.weight": 3, "a.weight:1": 4}, [1, 7, 1, 1]),
        ({"[ab]": 1}, [1, 1, 1, 1]),  # by layers
    ],
)
def test_rows_for_several_nodes_give_each_the_cost(rows: Any, costs: list[int]) -> None:
    table = {row: {2: 0, 4: cost} for row, cost in rows.items()}
    bits = np.full((4, 4), 2)
    np.fill_diagonal(bits, 4)
    assert CostModel(PAIR, tables={"t": table}).evaluate(bits)[:, 2].tolist() == costs


def test_a_row_for_a_layer_of_two_nodes_is_refused_with_a_hint_that_works() -> None:
    cells = {2: 1.0}
    with pytest.raises(ArgumentError, match="has one row 'a' for the 2 nodes of a layer") as caught:
        CostModel(PAIR, tables={"t": {"a": cells, "b.*": cells}})
    named = dict.fromkeys(re.findall(r"'([^']*)'", caught.value.hint), cells)
    assert list(named) == ["a.input", "a.weight"]
    assert CostModel(PAIR, tables={"t": {**named, "b.*": cells}}).uniform(2)[2] == 4


@pytest.mark.parametrize(
    "index",
    [range(4), pd.MultiIndex.from_product([["a", "b"], ["weight", "activation"]]), [b"a", "b", None, 1.5]],
)
def test_rows_without_names_are_refused(index: Any) -> None:
    with pytest.raises(ArgumentError, match=r"table 't' has .*, which is neither text nor function"):
        CostModel(PAIR, tables={"t": pd.DataFrame({2: [1.0] * 4}, index=index)})
