"""Does the accuracy that was searched hold on images the search never saw?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.search.meter import Meter
from nemo_lab.search.indicators import non_dominated


@dataclass(frozen=True)
class Member:
    """A front member's costs, and its accuracy on the images searched and on the held-out ones.

    Attributes:
        name: config id, or what else it is.
        model_ratio, bitop_ratio: relative to 32 bits; None for the full-precision network.
        searched, held_out: accuracies.
    """

    name: str
    model_ratio: float | None
    bitop_ratio: float | None
    searched: float
    held_out: float


def front_members(meter: Meter, count: int = 5, worst_error: float = 0.5) -> list[Member]:
    """Members spread evenly over the front by model ratio, below full precision as the first.

    Args:
        meter: after a run.
        count: how many front members, the smallest and the largest among them.
        worst_error: members with this task error or more are of no use to anybody.
    """
    problem, data = meter.problem, meter.workload.data
    if data is None or problem.metric != "top1":  # an accuracy
        return []
    objectives = np.array(meter.objectives)
    front = non_dominated(objectives)
    front = front[objectives[front, 0] < worst_error]
    full = Member(
        "full precision",
        None,
        None,
        1 - problem.full_precision_error(),
        1 - problem.full_precision_error(data.held_out),
    )
    members = [full]
    if not len(front):
        return members
    front = front[np.argsort(objectives[front, 1], kind="stable")]
    ratios = objectives[front, 1]
    left = np.ones(len(front), dtype=bool)
    for target in np.linspace(ratios[0], ratios[-1], min(count, len(front))):
        place = int(np.where(left, np.abs(ratios - target), np.inf).argmin())
        left[place] = False
        config = int(front[place])
        error = float(problem.error(meter.bits[config], data.held_out)[0])
        one = objectives[config]
        members.append(Member(f"config {config}", float(one[1]), float(one[2]), 1 - float(one[0]), 1 - error))
    return members
