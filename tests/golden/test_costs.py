"""Costs of fixed configurations, kept as exact fractions, so that no refactoring moves them.

The file was made from layer tables by integer arithmetic, not by the kernels.
"""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nemo_lab import CostModel, Workload

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "costs.json").read_text())


def pattern(name: str, nodes: int) -> np.ndarray:
    """The configurations of the file: ``cycle`` is 2, 3, ..., 8, 2, ...; ``halves`` 8 then 4."""
    order = np.arange(nodes)
    return {"cycle": 2 + order % 7, "halves": np.where(order < nodes // 2, 8, 4)}[name]


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_costs_stand_still(request: pytest.FixtureRequest, name: str) -> None:
    workload: Workload = request.getfixturevalue(name)
    golden = GOLDEN[name]
    assert (len(workload.nodes), workload.params, workload.macs) == (
        golden["nodes"],
        golden["params"],
        golden["macs"],
    )
    for case in golden["cases"]:
        bits = pattern(case["bits"], len(workload.nodes))
        for bitops in ("max", "product"):
            ratios = CostModel(workload, bitops).evaluate(bits)[0]
            expected = [float(Fraction(case["model_ratio"])), float(Fraction(case[bitops]))]
            np.testing.assert_allclose(ratios, expected, rtol=1e-12)
