"""Members that come and go by decisions, kept for taking these back: as many as a few MB hold."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nemo_lab.search.members import Member
from nemo_lab.search.roster import Roster
from nemo_lab.search.species import Genome

KEPT = 8 * 2**20  # bytes of genomes of members that have left


@dataclass(frozen=True, eq=False)
class Turnover:
    """Members and waiting configurations that came and went by a decision, for its undoing.

    Attributes:
        entered: who goes when it is taken back.
        left: who comes back.
        lost: how many more left, which lie too far back to be kept.
    """

    entered: tuple[Member, ...] = ()
    left: tuple[Member, ...] = ()
    lost: int = 0

    def state_dict(self, roster: Roster) -> dict[str, Any]:
        """Members by their number in a roster."""
        entered, left = roster.numbers(self.entered), roster.numbers(self.left)
        return {"entered": entered, "left": left, "lost": self.lost}

    @classmethod
    def from_state(cls, saved: Mapping[str, Any], roster: Roster) -> Turnover:
        """Back from ``state_dict``."""
        entered, left = roster.named(saved["entered"]), roster.named(saved["left"])
        return cls(tuple(entered), tuple(left), saved.get("lost", 0))


def turnover(before: Iterable[Member], after: Iterable[Member]) -> Turnover:
    """Who entered and who left, each once and in order."""
    old, new = dict.fromkeys(before), dict.fromkeys(after)
    return Turnover(tuple(m for m in new if m not in old), tuple(m for m in old if m not in new))


def bounded(turnovers: Sequence[Turnover], present: Iterable[Member]) -> list[Turnover]:
    """The same with no more members than ``KEPT`` bytes of genomes, those of the first kept longest.

    Args:
        turnovers: the nearest to the present first.
        present: who lives or waits, which takes no room here.
    """
    known, room = set(present), KEPT
    kept = []
    for one in turnovers:
        new = dict.fromkeys(member for member in one.left if member not in known)
        room -= sum(size(member.genome) for member in new)
        if room < 0:
            left = tuple(member for member in one.left if member in known)
            one = Turnover(one.entered, left, one.lost + len(one.left) - len(left))
        known.update(one.left)
        kept.append(Turnover(tuple(m for m in one.entered if m in known), one.left, one.lost))
    return kept


def size(genome: Genome) -> int:
    """Bytes of a genome, at least."""
    if isinstance(genome, tuple | list):
        return sum(map(size, genome))
    return genome.nbytes if isinstance(genome, np.ndarray) else sys.getsizeof(genome)
