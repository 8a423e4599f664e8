"""What panels show: records of one moment, frozen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nemo_lab.study import Snapshot

Choice = Callable[[np.ndarray], int]
References = tuple[tuple[str, np.ndarray], ...]


@dataclass(frozen=True, eq=False)
class Draft:
    """A configuration made by hand.

    Attributes:
        config: what it was made of.
        bits: uint8[Q].
        objectives: as measured, None if they are not yet.
        pending: whether it is being measured.
    """

    config: int
    bits: np.ndarray
    objectives: tuple[float, ...] | None = None
    pending: bool = False


@dataclass(frozen=True, eq=False)
class View:
    """All that panels show at one moment.

    Attributes:
        snapshot: of the study, at the moment that is looked at.
        now: of the study as it is.
        moment: evaluations made at the moment that is looked at, None for now.
        config: selected configuration, None before there is any.
        against: the configuration that it is compared with: the baseline, or the one selected before it.
        has_baseline: whether somebody set a baseline.
        draft: what is made of it by hand, None if nothing is.
        preferred: what the selection follows, None if it was made by hand.
        nodes: selected nodes, in order.
        references: text and drawn values float[3] of the same width everywhere.
        validated: what is known of the selected configuration on held-out images, None if not measured.
        measured: configurations that were measured on those.
        revision: of everything else that people set in a panel, such as colours and zoom.
    """

    snapshot: Snapshot
    now: Snapshot
    moment: int | None
    config: int | None
    against: int | None
    has_baseline: bool
    draft: Draft | None
    preferred: Choice | None
    nodes: tuple[int, ...]
    references: References
    validated: object
    measured: int
    revision: int

    @property
    def bits(self) -> np.ndarray | None:
        """uint8[Q] of the selected configuration."""
        return None if self.config is None else self.snapshot.evaluations.bits[self.config]

    @property
    def shown(self) -> np.ndarray | None:
        """uint8[Q] that graph and strip show: the draft's where there is one."""
        return self.bits if self.draft is None else self.draft.bits

    @property
    def other(self) -> np.ndarray | None:
        """uint8[Q] to compare it with: a draft with what it was made of."""
        if self.draft is not None:
            return self.bits
        return None if self.against is None else self.snapshot.evaluations.bits[self.against]

    @property
    def mark(self) -> tuple[object, ...]:
        """Equal for two views that look the same."""
        return (
            self.now.version, self.moment, self.config, self.against, self.has_baseline, self.draft,
            self.preferred, self.nodes, len(self.references), self.measured, self.revision,
        )  # fmt: skip
