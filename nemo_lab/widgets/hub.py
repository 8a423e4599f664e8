"""What the panels of a dashboard share: the study, what is selected in it, and who draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nemo_lab.plots import info as infos
from nemo_lab.study import Snapshot, Study, past
from nemo_lab.widgets.publisher import Publisher

REFERENCE_WIDTHS = (8, 6, 4)
References = tuple[tuple[str, np.ndarray], ...]


class NothingSelectedError(ValueError):
    """An action needs a configuration, and none is selected."""

    def __init__(self) -> None:
        super().__init__("no configuration is selected; tap a point of the front first")


@dataclass(frozen=True, eq=False)
class View:
    """All that panels show at one moment.

    Attributes:
        snapshot: of the study, at the moment that is looked at.
        now: of the study as it is.
        moment: evaluations made at the moment that is looked at, None for now.
        config: selected configuration, None before there is any.
        previous: the one selected before it, None before there are two.
        nodes: selected nodes, in order.
        references: text and drawn values float[3] of the same width everywhere.
        validated: what is known of the selected configuration on held-out images, None if not measured.
        measured: configurations that were measured on those.
    """

    snapshot: Snapshot
    now: Snapshot
    moment: int | None
    config: int | None
    previous: int | None
    nodes: tuple[int, ...]
    references: References
    validated: object
    measured: int

    @property
    def bits(self) -> np.ndarray | None:
        """uint8[Q] of the selected configuration."""
        return None if self.config is None else self.snapshot.evaluations.bits[self.config]

    @property
    def mark(self) -> tuple[object, ...]:
        """Equal for two views that look the same."""
        return (
            self.now.version, self.moment, self.config, self.previous, self.nodes, len(self.references),
            self.measured,
        )  # fmt: skip


class Hub:
    """The state that people set by looking around; every method may be called on any thread.

    Args:
        study: that is looked at.
        draw: brings all panels to a view; called by the publisher's thread.
    """

    def __init__(self, study: Study, draw: Callable[[], None]) -> None:
        self.study = study
        self.problem = study.problem
        self.publisher = Publisher(draw)
        self.references: References = ()
        self.nodes: tuple[int, ...] = ()
        self.moment: int | None = None
        self.hush: Callable[[], None] | None = None  # takes the notice about the latest action away
        self._selected: tuple[int | None, int | None] = (None, None)  # now, and before
        self._chosen = False  # until somebody chooses, the selection follows the front

    @property
    def config(self) -> int | None:
        """The selected configuration, None if there is none."""
        return self._selected[0]

    def chosen(self) -> int:
        """The selected configuration.

        Raises:
            NothingSelectedError: if there is none.
        """
        if self.config is None:
            raise NothingSelectedError
        return self.config

    def select(self, config: int) -> None:
        """Select a configuration; a number that there is not is passed over."""
        if 0 <= config < len(self.study.snapshot.evaluations):
            self._chosen = True
            self._turn_to(config)
            self.publisher.wake()

    def select_nodes(self, nodes: tuple[int, ...]) -> None:
        """Select nodes, for pins and edits."""
        self.nodes = tuple(sorted(nodes))
        self.publisher.wake()

    def step(self, by: int) -> None:
        """To the next larger (or smaller) member of the front."""
        snapshot = self.study.snapshot
        if not len(snapshot.front):
            raise ValueError("the front is still empty; press Start")
        objectives = snapshot.evaluations.objectives[snapshot.front]
        size = objectives[:, min(1, objectives.shape[1] - 1)]
        order = snapshot.front[np.argsort(size, kind="stable")].tolist()
        if self.config in order:
            place = min(max(order.index(self.config) + by, 0), len(order) - 1)
        else:
            place = 0 if by > 0 else len(order) - 1
        self.select(order[place])

    def look_back(self, moment: int | None) -> None:
        """Show the run as it was after so many evaluations, None for as it is."""
        self.moment = moment
        self.publisher.wake()

    def view(self) -> View:
        """What is to be shown."""
        now, moment = self.study.snapshot, self.moment
        snapshot = now if moment is None else past(now, moment, self.problem)
        if not self._chosen and len(snapshot.front):
            self._turn_to(_suggestion(snapshot))
        config, previous = (
            one if one is None or one < len(snapshot.evaluations) else None for one in self._selected
        )
        validated = self.study.validated
        return View(
            snapshot=snapshot,
            now=now,
            moment=moment,
            config=config,
            previous=previous,
            nodes=self.nodes,
            references=self.references,
            validated=None if config is None else validated.get(config),
            measured=len(validated),
        )

    def evaluate_references(self) -> None:
        """Points for orientation, the same width everywhere; and whatever makes Start slow."""
        self.study.prepare()
        for width in REFERENCE_WIDTHS:
            if width in self.problem.bit_widths and not self.publisher.closed:
                objectives = np.asarray(self.study.what_if(width), dtype=np.float64)[None]
                drawn = infos.drawn_values(objectives, self.problem)[0]
                self.references = (*self.references, (f"{width} bit", drawn))

    def _turn_to(self, config: int) -> None:
        now, before = self._selected
        if config != now:
            self._selected = config, now if self._chosen else before


def _suggestion(snapshot: Snapshot, tolerance: float = 0.01) -> int:
    """The front member smallest in the second objective that is within a point of the best in the first."""
    objectives = snapshot.evaluations.objectives[snapshot.front]
    good = objectives[:, 0] <= objectives[:, 0].min() + tolerance
    second = objectives[:, min(1, objectives.shape[1] - 1)]
    return int(snapshot.front[np.where(good, second, np.inf).argmin()])
