"""A problem as people bring it: a description, an evaluator and exact costs, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.search.meter import Meter
from nemo_lab.adapted import DESCRIBED


class BareProblem:
    """What is asked of any problem, of one that has more: no network, no bounds, no sensitivity.

    Args:
        meter: that counts what is evaluated, and knows the bounds by which it is judged.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        for name in (*DESCRIBED, "cost_names"):
            setattr(self, name, getattr(meter, name))

    def evaluate(self, bits: Any) -> NDArray[np.float64]:
        """Objectives: integers[N, Q] -> float64[N, K]."""
        return self._meter.evaluate(bits)

    def costs(self, bits: Any) -> NDArray[np.float64]:
        """Exact objectives: integers[N, Q] -> float64[N, C]."""
        found: NDArray[np.float64] = self._meter.costs(bits)
        return found
