"""What a species may know of the search beside its own members."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.search.archive import Evaluations


@dataclass(frozen=True, eq=False)
class SearchView:
    """The search as a species with a method ``observe`` gets it before it makes offspring.

    Attributes:
        evaluations: all so far; read-only.
        front: config ids of the front under the constraints.
        allowed: bool[Q, W], widths that the problem and pins leave to each node.
        box: float[2, K]: the region where new points count, from the best corner to the worst.
        known: whether a configuration uint8[Q] was evaluated, or is being evaluated.
        sensitivity: float64[Q, W], what each node at each width is expected to harm; None if nobody said.
    """

    evaluations: Evaluations
    front: NDArray[np.intp]
    allowed: NDArray[np.bool_]
    box: NDArray[np.float64]
    known: Callable[[NDArray[np.uint8]], bool]
    sensitivity: NDArray[np.float64] | None = None

    def state_dict(self) -> dict[str, Any]:
        """What of it the evaluations do not tell."""
        front = np.asarray(self.front, dtype=np.int64)
        return {
            "evaluations": len(self.evaluations),
            "front": front,
            "allowed": self.allowed,
            "box": self.box,
        }

    @classmethod
    def from_state(
        cls,
        saved: Mapping[str, Any],
        log: Evaluations,
        known: Callable[[NDArray[np.uint8]], bool],
        sensitivity: NDArray[np.float64] | None = None,
    ) -> SearchView:
        """Back from ``state_dict``, of a search that has at least those evaluations."""
        front = np.array(saved["front"], dtype=np.intp)
        log = log.first(saved["evaluations"])
        return cls(log, front, saved["allowed"], saved["box"], known, sensitivity)
