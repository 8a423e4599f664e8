"""The paper's last step: front members on images that the search has never seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nemo_lab.errors import ArgumentError, DataError
from nemo_lab.study.results.snapshot import Snapshot

Z = 1.959963984540054  # of a two-sided 95 % interval


@dataclass(frozen=True)
class Validation:
    """Top-1 accuracy on held-out examples.

    Attributes:
        accuracy: share of right answers.
        low, high: its 95 % confidence interval, by Wilson's score, J. Am. Stat. Assoc. 22 (1927).
        examples: how many there were.
    """

    accuracy: float
    low: float
    high: float
    examples: int

    def __str__(self) -> str:
        return f"{self.accuracy:.2%} ({self.low:.1%} to {self.high:.1%}, {self.examples:,} examples)"


def wilson(right: int, examples: int) -> Validation:
    """Share of right answers among ``examples`` and its 95 % confidence interval."""
    share, z2 = right / examples, Z * Z / examples
    middle = (share + z2 / 2) / (1 + z2)
    half = Z * math.sqrt(share * (1 - share) / examples + z2 / (4 * examples)) / (1 + z2)
    return Validation(share, max(0.0, middle - half), min(1.0, middle + half), examples)


def validate(problem: Any, bits: Sequence[Any], data: Any) -> list[Validation]:
    """Every configuration on ``data``, or on the held-out images of the workload.

    Raises:
        ArgumentError: if the problem has no network to run.
        DataError: if there are no held-out images.
    """
    if problem.error is None:
        raise ArgumentError(
            f"a {type(problem).__name__} cannot be validated",
            "use a problem with error(bits, data, metric=, count=), see QuantizationProblem.error",
        )
    if data is None:
        shipped = None if problem.workload is None else problem.workload.data
        if shipped is None:
            raise DataError("there are no held-out images", "pass data=(images, labels)")
        data = shipped.held_out
    if not len(bits):
        return []
    errors, examples = problem.error(np.array(bits), data, metric="top1", count=True)
    return [wilson(round((1 - error) * examples), examples) for error in errors]


def validation_frame(snapshot: Snapshot, found: dict[int, Validation], ids: Sequence[int]) -> pd.DataFrame:
    """One row per configuration: the searched value beside the held-out accuracy."""
    searched = 1 - snapshot.evaluations.objectives[list(ids), 0]
    rows = [(found[i].accuracy, found[i].low, found[i].high, found[i].examples) for i in ids]
    frame = pd.DataFrame(
        rows, columns=["held_out", "low", "high", "examples"], index=pd.Index(ids, name="config")
    )
    frame.insert(0, "searched", searched)
    return frame
