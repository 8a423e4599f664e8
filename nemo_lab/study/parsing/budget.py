"""From what ``start`` was given to the evaluation at which the run ends."""

from __future__ import annotations

from collections.abc import Callable

from nemo_lab.arguments import OrNone, Whole
from nemo_lab.errors import ArgumentError

DEFAULT_BUDGET = 500
IN_ALL = Whole(1, 10**12, words="a whole number of at least 1, up to 10**12")
EVALUATIONS = OrNone(IN_ALL)


def budget(evaluations: int | None, until: int | None, last_target: int) -> Callable[[int], int]:
    """The target as a function of the evaluations made when the run starts.

    Args:
        evaluations: how many more; what is left of the last target, or 500, where both are None.
        until: how many in all, instead.
        last_target: of the run before.

    Raises:
        ArgumentError: on both, or unless it is a positive whole number; and, by the function, if
            ``until`` is already reached.
    """
    if evaluations is not None and until is not None:
        raise ArgumentError("start got both evaluations= and until=", "give one of them")
    more, whole = EVALUATIONS.check("evaluations", evaluations), EVALUATIONS.check("until", until)

    def target(done: int) -> int:
        if whole is not None:
            if whole <= done:
                raise ArgumentError(f"until={whole}, but {done} evaluations are made", "give more")
            return whole
        left = last_target - done
        return done + (more or (left if left > 0 else DEFAULT_BUDGET))

    return target
