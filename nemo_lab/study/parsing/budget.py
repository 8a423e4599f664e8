"""From what ``start`` was given to the evaluation at which the run ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nemo_lab.errors import ArgumentError

DEFAULT_BUDGET = 500


def checked_whole(name: str, value: Any, least: int) -> int:
    """A whole number, of Python or NumPy.

    Raises:
        ArgumentError: unless it is one of at least ``least``.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ArgumentError(f"{name}={value!r}", f"give a whole number of at least {least}")
    return int(value)


def budget(evaluations: int | None, until: int | None, last_target: int) -> Callable[[int], int]:
    """The target as a function of the evaluations made when the run starts.

    Args:
        evaluations: how many more; what is left of the last target, or 500, where both are None.
        until: how many in all, instead.
        last_target: of the run before.

    Raises:
        ArgumentError: on both, or on what is no positive whole number; and, by the function, if
            ``until`` is already reached.
    """
    if evaluations is not None and until is not None:
        raise ArgumentError("start got both evaluations= and until=", "give one of them")
    for name, value in (("evaluations", evaluations), ("until", until)):
        if value is not None:
            checked_whole(name, value, 1)

    def target(done: int) -> int:
        if until is not None:
            if until <= done:
                raise ArgumentError(f"until={until}, but {done} evaluations are made", "give more")
            return int(until)
        left = last_target - done
        return done + int(evaluations or (left if left > 0 else DEFAULT_BUDGET))

    return target
