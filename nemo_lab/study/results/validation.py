"""The paper's last step: front members on images that the search has never seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nemo_lab.errors import ArgumentError, DataError
from nemo_lab.objective import Objective
from nemo_lab.search.objective import objectives_of
from nemo_lab.study.results.snapshot import Snapshot

Z = 1.959963984540054  # of a two-sided 95 % interval


@dataclass(frozen=True)
class Validation:
    """What was measured of a configuration on held-out examples.

    Attributes:
        objective: what it is, one of the problem's if the problem has it.
        value: on the objective's display, such as the accuracy.
        low, high: its 95 % confidence interval, None for what is not a share of the examples.
        examples: how many there were.
    """

    objective: Objective
    value: float
    low: float | None
    high: float | None
    examples: int

    @property
    def interval(self) -> str:
        """The confidence interval as text, empty without one."""
        if self.low is None or self.high is None:
            return ""
        return f"{self.objective.brief(self.low)} to {self.objective.brief(self.high)}"

    def __str__(self) -> str:
        value = self.objective.text(self.objective.display.stored(self.value))
        inside = ", ".join(part for part in (self.interval, f"{self.examples:,} examples") if part)
        return f"{value} ({inside})"


def wilson(right: int, examples: int) -> tuple[float, float]:
    """95 % confidence interval of the share ``right / examples``: Wilson, J. Am. Stat. Assoc. 22 (1927)."""
    share, z2 = right / examples, Z * Z / examples
    middle = (share + z2 / 2) / (1 + z2)
    half = Z * math.sqrt(share * (1 - share) / examples + z2 / (4 * examples)) / (1 + z2)
    return max(0.0, middle - half), min(1.0, middle + half)


def validate(problem: Any, bits: Sequence[Any], data: Any, metric: Any = None) -> list[Validation]:
    """Every configuration on ``data``, or on the held-out examples of the problem, or of its workload.

    Args:
        problem: with ``error(bits, data, metric=, count=)``, and maybe ``held_out``.
        bits: of the configurations.
        data: as the problem's own.
        metric: one, as the problem's own; the problem's first objective by default.

    Raises:
        ArgumentError: on several metrics, or if the problem has no network to run.
        DataError: if there are no held-out images.
    """
    data = _unseen(problem, data)
    if not len(bits):
        return []
    objective = _measured(problem, metric)
    errors, examples = problem.error(np.array(bits), data, metric=metric, count=True)
    return [_validation(objective, float(error), examples) for error in errors]


def validate_tuned(problem: Any, tuned: Sequence[Any], data: Any, metric: Any = None) -> list[Validation]:
    """The same of configurations that were tuned, each with ``error(data, metric=, count=)``."""
    data, objective = _unseen(problem, data), _measured(problem, metric)
    found = [one.error(data, metric=metric, count=True) for one in tuned]
    return [_validation(objective, float(error), examples) for error, examples in found]


def _unseen(problem: Any, data: Any) -> Any:
    """Examples that the search has not seen."""
    if problem.error is None:
        raise ArgumentError(
            f"{problem.title} cannot be validated",
            "use a problem with error(bits, data, metric=, count=), see QuantizationProblem.error",
        )
    data = problem.held_out if data is None else data
    if data is not None:
        return data
    shipped = None if problem.workload is None else problem.workload.data
    if shipped is None:
        raise DataError(
            "there are no held-out images",
            "pass data=(images, labels), or make the problem with held_out=(images, labels)",
        )
    return shipped.held_out


def _measured(problem: Any, metric: Any) -> Objective:
    """What a metric measures: one of the problem's objectives, if it has it."""
    own = objectives_of(problem)
    objective = own[0] if metric is None else problem.error_objective(metric)
    known = (objective.metric, objective.name)
    return next((one for one in own if one.metric and one.metric in known), objective)


def _validation(objective: Objective, error: float, examples: int) -> Validation:
    value = float(objective.display.of(error))
    if not objective.share:
        return Validation(objective, value, None, None, examples)
    low, high = wilson(round((1 - error) * examples), examples)
    ends = (objective.display.of(1 - high), objective.display.of(1 - low))
    return Validation(objective, value, min(ends), max(ends), examples)


def held_out(found: Sequence[Validation | None], missing: str = "") -> tuple[str, list[str]]:
    """A heading and a text for each, which say what was measured; ``missing`` where nothing was."""
    labels = list(dict.fromkeys(one.objective.label for one in found if one is not None))
    if len(labels) == 1:
        return f"held out, {labels[0]}", [missing if one is None else str(one) for one in found]
    return "held out", [missing if one is None else f"{one.objective.label} {one}" for one in found]


def validation_frame(
    snapshot: Snapshot,
    found: dict[int, Validation],
    ids: Sequence[int],
    problem: Any,
    tuned: dict[int, Validation] | None = None,
) -> pd.DataFrame:
    """One row per configuration: the searched value of what was measured, if any, and the held-out one.

    Args:
        snapshot: of the study.
        found: what was measured, by config id.
        ids: of the rows.
        problem: that is searched.
        tuned: what was measured after tuning, by config id; no columns if none.
    """
    rows = [(found[i].value, found[i].low, found[i].high, found[i].examples) for i in ids]
    objectives = objectives_of(problem)
    one = found[ids[0]].objective if len(ids) else objectives[0]
    name = one.written
    frame = pd.DataFrame(
        rows, columns=[f"held_out_{name}", "low", "high", "examples"], index=pd.Index(ids, name="config")
    ).astype({"low": float, "high": float})
    same = [k for k, own in enumerate(objectives) if own.measured_as(one)]
    if same:
        searched = snapshot.evaluations.objectives[list(ids), same[0]]
        frame.insert(0, f"searched_{name}", one.display.of(searched))
    if tuned:
        after = [tuned.get(i) for i in ids]
        for column, values in (
            (f"tuned_{name}", [None if v is None else v.value for v in after]),
            ("tuned_low", [None if v is None else v.low for v in after]),
            ("tuned_high", [None if v is None else v.high for v in after]),
        ):
            frame[column] = np.array(values, dtype=float)
    return frame
