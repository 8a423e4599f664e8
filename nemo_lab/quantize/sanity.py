"""Whether a width that should cost next to nothing does: a sanity check of ranges, data and weights."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

from nemo_lab.errors import NemoWarning
from nemo_lab.objective import Objective, number

SAFE_WIDTH = 8  # from here on a network whose ranges fit loses next to nothing
FAR = 0.05  # of what there is to lose


def is_far(full: float, found: float, reach: float = 1.0, examples: int | None = None) -> bool:
    """Whether an error is far from that in full precision.

    It is if more than a twentieth of what there is to lose is lost, and, where errors are shares of examples,
    more than chance explains: two standard errors of the difference of two shares.

    Args:
        full: the error in full precision.
        found: another error.
        reach: what there is to lose, from the best to the worst error.
        examples: whose share the errors are; None if they are not shares.

    >>> is_far(0.02, 0.31), is_far(0.02, 0.03), is_far(0.0, 0.1, examples=10)
    (True, False, False)
    """
    variance = 0.0 if examples is None else (full * (1 - full) + found * (1 - found)) / examples
    return found - full > max(FAR * reach, 2 * math.sqrt(variance))


def reach_of(objective: Objective, full: float, worst: float) -> float:
    """What there is to lose: what a metric says of its bounds, else how much the lowest width loses.

    Where that is little beside the error itself, as if nothing mattered, it is the error.
    """
    if objective.low is None or objective.high is None:
        return max(worst - full, abs(full))
    return objective.high - objective.low


def warn_if_far(
    objectives: Sequence[Objective],
    full: Sequence[float],
    ends: Sequence[Sequence[float]],
    width: int,
) -> None:
    """Say that the highest width everywhere is far from full precision, where that is known.

    Args:
        objectives: of the metrics, with bounds as far as the metrics say them.
        full: the error of each in full precision, NaN where it is not known.
        ends: errors with every node at the lowest, and at the highest width.
        width: the highest.

    Warns:
        NemoWarning: at the caller's caller, for the first metric that is far; never below 8 bits.
    """
    for one, known, worst, found in zip(objectives, full, *ends, strict=True):
        if width >= SAFE_WIDTH and is_far(known, found, reach_of(one, known, worst)):
            warnings.warn(
                f"{width} bits everywhere are far from full precision: {one.label} is {number(found)}, and "
                f"{number(known)} in full precision; nl.check(problem) says more, and tries ways out such as "
                "per_channel=True or ranges='mse'",
                NemoWarning,
                stacklevel=3,
            )
            return


def warn_if_guessed(nodes: Sequence[str], reason: str = "") -> None:
    """Say which nodes' sensitivities are guessed, and why if anything is known of that.

    Warns:
        NemoWarning: at the caller's caller, if there are any.
    """
    if nodes:
        named = ", ".join(nodes[:3]) + (f" and {len(nodes) - 3} more" if len(nodes) > 3 else "")
        warnings.warn(
            f"no gradient reaches {named}{reason}: the sensitivity is guessed from the signal to noise ratio",
            NemoWarning,
            stacklevel=3,
        )
