"""How long evaluations take, for an honest estimate of the time left."""

from __future__ import annotations

from collections import deque

WINDOW = 200  # evaluations: several generations, since the end of one takes longer than all before it


class Throughput:
    """The mean time of the latest evaluations, the search's own time included.

    Args:
        rate: seconds per evaluation that are known from before, 0 for unknown.
    """

    def __init__(self, rate: float = 0.0) -> None:
        self._before = rate
        self._took: deque[float] = deque(maxlen=WINDOW)

    def add(self, seconds: float, evaluations: int) -> None:
        """Note that so many evaluations took so long together."""
        self._took.extend([seconds / evaluations] * evaluations)

    @property
    def rate(self) -> float:
        """Seconds per evaluation, 0 before the first."""
        return sum(self._took) / len(self._took) if self._took else self._before
