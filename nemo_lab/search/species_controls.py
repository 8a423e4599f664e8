"""What people decide about the species: which take part, and with what share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.search.allocation import share_slots


@dataclass(frozen=True)
class SpeciesControls:
    """The decisions in force. All ours: in the paper UCB alone decides.

    Attributes:
        removed: species, by position, that take no part.
        frozen: species whose members stay as they are and have no children.
        shares: species -> share of all members, in place of what UCB gives it.
    """

    removed: frozenset[int] = frozenset()
    frozen: frozenset[int] = frozenset()
    shares: Mapping[int, float] = field(default_factory=dict)

    def breeding(self, count: int) -> list[int]:
        """Of ``count`` species those that have children, ascending."""
        return [s for s in range(count) if s not in self.removed and s not in self.frozen]

    def allocate(
        self, scores: NDArray[np.float64], slots: int, min_size: int, held: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Members each species may keep.

        Args:
            scores: float[S] of UCB.
            slots: members of all species together.
            min_size: as for ``share_slots``.
            held: int64[S], what each has now; a frozen one keeps it.
        """
        given = np.zeros(len(scores), dtype=np.int64)
        free = []
        for s in range(len(scores)):
            if s in self.removed:
                continue
            if s in self.frozen:
                given[s] = held[s]
            elif s in self.shares:
                given[s] = max(1, round(self.shares[s] * slots))
            else:
                free.append(s)
        if free:
            given[free] = share_slots(scores[free], max(slots - int(given.sum()), len(free)), min_size)
        return given

    def state_dict(self) -> dict[str, Any]:
        """The decisions with lists for sets and mappings, for JSON."""
        return {
            "removed": sorted(self.removed),
            "frozen": sorted(self.frozen),
            "shares": [[s, share] for s, share in self.shares.items()],
        }

    @classmethod
    def from_state(cls, saved: Mapping[str, Any]) -> SpeciesControls:
        """Back from ``state_dict``."""
        shares = {int(s): share for s, share in saved["shares"]}
        return cls(frozenset(saved["removed"]), frozenset(saved["frozen"]), shares)
