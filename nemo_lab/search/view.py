"""What a species may know of the search beside its own members."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nemo_lab.search.archive import Evaluations


@dataclass(frozen=True, eq=False)
class SearchView:
    """The search as a species with a method ``observe`` gets it before it makes offspring.

    Attributes:
        evaluations: all so far; read-only.
        front: config ids of the front under the rules.
        allowed: bool[Q, W], widths that pins leave to each node.
        box: float[2, K]: the region where new points count, from the best corner to the worst.
        known: whether a configuration uint8[Q] was evaluated, or is being evaluated.
    """

    evaluations: Evaluations
    front: NDArray[np.intp]
    allowed: NDArray[np.bool_]
    box: NDArray[np.float64]
    known: Callable[[NDArray[np.uint8]], bool]
