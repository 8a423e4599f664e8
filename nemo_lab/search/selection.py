"""Who survives a generation: the best of all, as many of each species as it has slots."""

from __future__ import annotations

from collections.abc import Sequence, Set

import numpy as np
from numpy.typing import NDArray

from nemo_lab.search.members import Member


def competing(members: Sequence[Sequence[Member]], frozen: Set[int]) -> list[Member]:
    """Evaluated members of all species but the frozen ones, by species."""
    return [
        member
        for s, living in enumerate(members)
        for member in living
        if member.objectives is not None and s not in frozen
    ]


def selected(ranked: Sequence[Member], slots: NDArray[np.int64], *, unique: bool) -> list[list[Member]]:
    """Survivors of each species, the best first.

    Args:
        ranked: all that compete, the best first.
        slots: int64[S], of each species.
        unique: whether of members with the same configuration only the first survives.
    """
    survivors: list[list[Member]] = [[] for _ in slots]
    alive: set[tuple[int, bytes]] = set()
    for member in ranked:
        held = survivors[member.species]
        if len(held) >= slots[member.species] or (unique and member.key in alive):
            continue
        alive.add(member.key)
        held.append(member)
    return survivors
