"""What the panels of a dashboard share: the study, what is selected in it, and who draws."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nemo_lab.plots import info as infos
from nemo_lab.study import Snapshot, Study, past
from nemo_lab.study.results.decision_making import choose, within_a_point
from nemo_lab.widgets.elements.theme import Look
from nemo_lab.widgets.publisher import Publisher

REFERENCE_WIDTHS = (8, 6, 4)
Choice = Callable[[np.ndarray], int]
References = tuple[tuple[str, np.ndarray], ...]


class NothingSelectedError(ValueError):
    """An action needs a configuration, and none is selected."""

    def __init__(self) -> None:
        super().__init__("no configuration is selected; tap a point of the front first")


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
        against: the configuration that it is compared with: one that was kept, or the one selected before it.
        kept: whether somebody kept that one.
        draft: what is made of it by hand, None if nothing is.
        preferred: what the selection follows, None if it was made by hand.
        nodes: selected nodes, in order.
        references: text and drawn values float[3] of the same width everywhere.
        validated: what is known of the selected configuration on held-out images, None if not measured.
        measured: configurations that were measured on those.
        looks: how often it was changed how things are looked at.
    """

    snapshot: Snapshot
    now: Snapshot
    moment: int | None
    config: int | None
    against: int | None
    kept: bool
    draft: Draft | None
    preferred: Choice | None
    nodes: tuple[int, ...]
    references: References
    validated: object
    measured: int
    looks: int

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
            self.now.version, self.moment, self.config, self.against, self.kept, self.draft, self.preferred,
            self.nodes, len(self.references), self.measured, self.looks,
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
        self.look = Look()
        self.references: References = ()
        self.nodes: tuple[int, ...] = ()
        self.moment: int | None = None
        self.hush: Callable[[], None] | None = None  # takes the notice about the latest action away
        self._looks = 0
        self.kept: int | None = None  # to compare with
        self._drafts: dict[int, Draft] = {}  # by what they were made of
        self._lock = threading.Lock()
        self._selected: tuple[int | None, int | None] = (None, None)  # now, and before
        self._preferred: Choice | None = within_a_point  # what the selection follows, until somebody selects

    @property
    def config(self) -> int | None:
        """The selected configuration, None if there is none."""
        return self._selected[0]

    @property
    def draft(self) -> Draft | None:
        """What is made of the selected configuration by hand, None if nothing is."""
        return None if self.config is None else self._drafts.get(self.config)

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
            self._preferred = None
            self._turn_to(config)
            self.publisher.wake()

    def prefer(self, choice: Choice) -> None:
        """Select what a choice prefers of the front, now and as the front goes on."""
        wanted = choose(self.study.snapshot, choice, self.problem)
        self._preferred = None  # somebody looked at the one before: it is compared with
        self._turn_to(wanted)
        self._preferred = choice
        self.publisher.wake()

    def compare(self, config: int | None) -> None:
        """Compare with a configuration from now on; None for the one selected before."""
        self.kept = config
        self.publisher.wake()

    def edit(self, draft: Draft) -> None:
        """Take a draft in place of the one before, and show it."""
        with self._lock:
            self._drafts[draft.config] = draft
        self._turn_to(draft.config)  # the front may have gone on meanwhile
        self.publisher.wake()

    def replace(self, draft: Draft, by: Draft | None) -> None:
        """Put another draft, or none, in the place of one that was not changed meanwhile."""
        with self._lock:
            if self._drafts.get(draft.config) is draft:
                if by is None:
                    del self._drafts[draft.config]
                else:
                    self._drafts[draft.config] = by
        self.publisher.wake()

    def redraw(self) -> None:
        """Show what changed in how something is looked at."""
        self._looks += 1
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
        if self._preferred is not None and len(snapshot.front) and self.draft is None:
            self._turn_to(choose(snapshot, self._preferred, self.problem))
        there = len(snapshot.evaluations)
        config, previous, kept = (
            one if one is None or one < there else None for one in (*self._selected, self.kept)
        )
        validated = self.study.validated
        return View(
            snapshot=snapshot,
            now=now,
            moment=moment,
            config=config,
            against=previous if self.kept is None else kept,
            kept=self.kept is not None,
            draft=None if config is None else self._drafts.get(config),
            preferred=self._preferred,
            nodes=self.nodes,
            references=self.references,
            validated=None if config is None else validated.get(config),
            measured=len(validated),
            looks=self._looks,
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
            self._selected = config, now if self._preferred is None else before
