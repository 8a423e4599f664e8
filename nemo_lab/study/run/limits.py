"""What ends a run besides its number of evaluations: the time it may take, and a search that has stalled."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from nemo_lab.arguments import Domain, Number, OrNone, Whole

SHARE, WINDOW = Number(0.0, 1.0, open="both"), Whole(1, 10**6)


@dataclass(frozen=True)
class Stalled:
    """A hypervolume that grew by less than a share of itself over so many evaluations of a run.

    Attributes:
        share: between 0 and 1.
        evaluations: at least 1.
    """

    share: float = 0.001
    evaluations: int = 100


@dataclass(frozen=True)
class Limits:
    """Of one run.

    Attributes:
        minutes: of running, pauses not counted; None for no limit.
        stalled: when the search counts as stalled, None for never.
    """

    minutes: float | None = None
    stalled: Stalled | None = None


NO_LIMITS = Limits()


@dataclass(frozen=True)
class _StopWhen(Domain[Stalled]):
    words: str = (
        '"stalled", or a pair such as (0.001, 100): the share and the evaluations that it is looked at'
    )

    def clean(self, value: Any) -> Stalled:
        if isinstance(value, str):
            return {"stalled": Stalled()}[value]
        share, evaluations = value
        return Stalled(SHARE.clean(share), WINDOW.clean(evaluations))


MINUTES, STOP_WHEN = OrNone(Number(0.0, open="low")), OrNone(_StopWhen())


def limits(minutes: float | None, stop_when: Any) -> Limits:
    """The limits that people ask for; see ``Study.optimize``.

    Raises:
        ArgumentError: on others.
    """
    return Limits(MINUTES.check("minutes", minutes), STOP_WHEN.check("stop_when", stop_when))


class Watch:
    """Looks after every evaluation whether a run has come to one of its limits.

    Args:
        limits: of the run.
        seconds: that the study has run before.

    Attributes:
        ends: seconds of running at which the run ends, in all; infinite without a limit.
    """

    def __init__(self, limits: Limits = NO_LIMITS, seconds: float = 0.0) -> None:
        self.ends = math.inf if limits.minutes is None else seconds + 60 * limits.minutes
        self._stalled = limits.stalled
        self._seen: list[tuple[int, float]] = []

    def restart(self) -> None:
        """Somebody steered: what the hypervolume was before tells nothing of what comes."""
        self._seen.clear()

    def over(self, seconds: float, evaluations: int, hypervolume: float) -> bool:
        """Whether the run is to end, with so many seconds and evaluations in all."""
        return seconds >= self.ends or self._has_stalled(evaluations, hypervolume)

    def _has_stalled(self, evaluations: int, hypervolume: float) -> bool:
        if self._stalled is None:
            return False
        self._seen.append((evaluations, hypervolume))
        since = evaluations - self._stalled.evaluations
        while len(self._seen) > 1 and self._seen[1][0] <= since:
            del self._seen[0]
        begin, before = self._seen[0]
        return begin <= since and hypervolume - before < self._stalled.share * before
