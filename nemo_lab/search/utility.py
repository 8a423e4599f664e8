"""What a species contributes: its R2 (docs/method.md, section 5), or the hypervolume that it adds (ours)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nemo_lab.search.allocation import utility_from_r2
from nemo_lab.search.constraints import Constraints
from nemo_lab.search.indicators import hypervolume, r2
from nemo_lab.search.members import Member

Floats = NDArray[np.float64]


def utilities(parts: Sequence[Floats], weights: Floats, box: Floats, kind: str) -> tuple[Floats, Floats]:
    """R2 indicators float[S], NaN of a species without members, and utilities float[S], larger is better.

    Args:
        parts: objective vectors float[N, K] of each species.
        weights: float[L, K] of R2.
        box: float[2, K], in which hypervolumes are measured.
        kind: ``"r2"`` (paper) or ``"hypervolume"`` (ours).
    """
    able = [s for s, vectors in enumerate(parts) if len(vectors)]
    indicators = np.full(len(parts), np.nan)
    indicators[able] = [r2(parts[s], weights) for s in able]
    utility = np.zeros(len(parts))
    if able and kind == "r2":
        utility[able] = utility_from_r2(indicators[able])
    elif able:
        utility[able] = _contributions([parts[s] for s in able], box)
    return indicators, utility


def keeping(members: Sequence[Member], constraints: Constraints) -> Floats:
    """Objective vectors of the members that keep the constraints, or of all where none does."""
    done = [member for member in members if member.objectives is not None]
    good = penalties_of(done, constraints) == 0
    vectors = vectors_of(done)
    return vectors[good] if good.any() else vectors


def _contributions(parts: Sequence[Floats], box: Floats) -> Floats:
    """What the hypervolume would lose without each species, as a share of the largest loss.

    Args:
        parts: objective vectors float[N, K] of each species.
        box: float[2, K].
    """
    whole = hypervolume(np.concatenate(parts), box)
    loss = np.array(
        [
            whole - (hypervolume(np.concatenate(rest), box) if rest else 0.0)
            for rest in ([p for other, p in enumerate(parts) if other != s] for s in range(len(parts)))
        ]
    )
    return loss / loss.max() if loss.max() > 0 else np.ones(len(parts))


def vectors_of(members: Sequence[Member]) -> Floats:
    """Objective vectors float[N, K] of evaluated members."""
    return np.array([member.objectives for member in members])


def penalties_of(members: Sequence[Member], constraints: Constraints) -> Floats:
    """float[N], see ``Constraints.penalty``."""
    if not members:
        return np.zeros(0)
    return constraints.penalty(np.array([member.bits for member in members]), vectors_of(members))
