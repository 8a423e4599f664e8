"""Problems for the figures: one whose numbers can be worked out by hand, and any number of objectives."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.cost.objectives import RATIOS
from nemo_lab.objective import MEASURED
from tests.toy import ToyProblem


class ByHandProblem(ToyProblem):
    """Only the first node matters to the error, and every node costs the same."""

    objective_names = ("task_error", "model_ratio", "bitop_ratio")
    cost_names = ("model_ratio", "bitop_ratio")
    objectives = (MEASURED["top1"], *RATIOS)

    def costs(self, bits: Any) -> NDArray[np.float64]:
        b = np.atleast_2d(np.asarray(bits, dtype=np.float64))
        return np.column_stack([b.mean(axis=1) / 32, b.max(axis=1) / 32])

    def evaluate(self, bits: Any) -> NDArray[np.float64]:
        b = np.atleast_2d(np.asarray(bits, dtype=np.float64))
        return np.column_stack([2.0 ** (1.0 - b[:, 0]), self.costs(b)])


class ManyObjectives(ToyProblem):
    """The toy with its first objectives only, or with a fourth."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.objective_names = ("loss", "size", "work", "depth")[:count]  # type: ignore[assignment]
        self.cost_names = ()  # type: ignore[assignment]

    @property
    def objective_bounds(self) -> NDArray[np.float64]:
        return np.array([[0.0] * 4, [1.0] * 4])[:, : len(self.objective_names)]

    def evaluate(self, bits: Any) -> NDArray[np.float64]:
        b = np.atleast_2d(np.asarray(bits, dtype=np.float64))
        depth = (b[:, 0] - b[:, -1]) / 12 + 0.5
        return np.column_stack([super().evaluate(bits), depth])[:, : len(self.objective_names)]
