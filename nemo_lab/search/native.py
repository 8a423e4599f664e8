"""The one way to moocore's compiled code, which crashes on what is not finite."""

from __future__ import annotations

from collections.abc import Callable

import moocore
import numpy as np
from numpy.typing import NDArray

from nemo_lab.errors import ArgumentError
from nemo_lab.numeric import real_numbers

Floats = NDArray[np.float64]


def vectors(what: str, given: Floats, columns: int | None = None) -> Floats:
    """Vectors float64[N, K] as compiled code takes them.

    Args:
        what: they are, for people.
        given: float[N, K].
        columns: K, where it is known.

    Raises:
        ArgumentError: on another shape, or a number that is not finite.
    """
    hint = "look at what the problem's evaluate returns, and at its objective_bounds"
    try:
        found = real_numbers(given)
    except ValueError as error:
        raise ArgumentError(f"{what} are {error}", hint) from error
    if found.ndim != 2 or found.shape[1] != (columns or found.shape[1]) or not found.shape[1]:
        raise ArgumentError(f"{what} have shape {found.shape}", hint)
    if not np.isfinite(found).all():
        raise ArgumentError(f"{what} are not all finite", hint)
    return np.ascontiguousarray(found)


def dominated_volume(members: Floats, reference: Floats) -> float:
    """The volume between members float[N, K] and the reference point float[K].

    Raises:
        ArgumentError: unless all are finite, and of one K.
    """
    corner = vectors("the reference point", np.asarray(reference)[None])[0]
    return float(moocore.hypervolume(vectors("objectives", members, len(corner)), ref=corner))


def volume_to(reference: Floats) -> Callable[[Floats], float]:
    """``dominated_volume`` of many sets that ``vectors`` has seen, in a quarter of the time.

    Raises:
        ArgumentError: unless the reference point is finite.
    """
    corner = vectors("the reference point", np.asarray(reference)[None])[0]
    volume: Callable[[Floats], float] = moocore.Hypervolume(ref=corner)
    return volume


def undominated(members: Floats) -> NDArray[np.bool_]:
    """bool[N]: which of float[N, K] no other dominates; of equal ones only the first.

    Raises:
        ArgumentError: unless all are finite.
    """
    return np.asarray(moocore.is_nondominated(vectors("objectives", members)))
