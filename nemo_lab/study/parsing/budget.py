"""From what ``start`` was given to the evaluation at which the run ends."""

from __future__ import annotations

from collections.abc import Callable

from nemo_lab.arguments import OrNone, Whole
from nemo_lab.errors import ArgumentError

DEFAULT_BUDGET = 500
NO_END = 10**12  # evaluations, of a run that something else ends
IN_ALL = Whole(1, NO_END, words="a whole number of at least 1, up to 10**12")
EVALUATIONS = OrNone(IN_ALL)


def budget(
    evaluations: int | None, until: int | None, last_target: int, *, open_end: bool = False
) -> Callable[[int], int]:
    """The target as a function of the evaluations made when the run starts.

    Args:
        evaluations: how many more; what is left of the last target, or 500, where both are None.
        until: how many in all, instead.
        last_target: of the run before.
        open_end: whether something else ends the run, so that both may be None.

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
        if open_end and more is None:
            return NO_END
        left = last_target - done if last_target < NO_END else 0
        return done + (more or (left if left > 0 else DEFAULT_BUDGET))

    return target
