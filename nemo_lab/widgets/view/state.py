"""How people look at a study: what is selected, compared and drafted, and at which moment."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from nemo_lab.choices import choices
from nemo_lab.plots import info as infos
from nemo_lab.study import Study, past
from nemo_lab.study.results.decision_making import choose, within_a_point
from nemo_lab.widgets.elements.theme import Theme
from nemo_lab.widgets.view.publisher import Publisher
from nemo_lab.widgets.view.records import Choice, Draft, References, View

REFERENCE_WIDTHS = (8, 6, 4)


class NothingSelectedError(ValueError):
    """An action needs a configuration, and none is selected."""

    def __init__(self) -> None:
        super().__init__("no configuration is selected; click a point of the front first")


def _nothing() -> None:
    pass


class ViewState:
    """What people have chosen to look at, shared by all panels; every method may be called on any thread.

    Args:
        study: that is looked at.
        draw: brings all panels to a view; called by the publisher's thread.
    """

    def __init__(self, study: Study, draw: Callable[[], None]) -> None:
        self.study = study
        self.problem = study.problem
        self.publisher = Publisher(draw)
        self.theme = Theme()
        self.references: References = ()
        self.nodes: tuple[int, ...] = ()
        self.moment: int | None = None
        self.clear_notice: Callable[[], None] = _nothing  # takes the notice about the latest action away
        self.baseline: int | None = None  # that the selected configuration is compared with
        self._revision = 0
        self._drafts: dict[int, Draft] = {}  # by what they were made of
        self._lock = threading.Lock()
        self._selected: tuple[int | None, int | None] = (None, None)  # now, and before
        self.preferred: Choice | None = within_a_point  # what the selection follows, until somebody selects

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
            self.preferred = None
            self._turn_to(config)
            self.publisher.wake()

    def prefer(self, choice: Choice) -> None:
        """Select what a choice prefers of the front, now and as the front goes on."""
        wanted = choose(self.study.snapshot, choice, self.problem)
        self.preferred = None  # somebody looked at the one before: it is compared with
        self._turn_to(wanted)
        self.preferred = choice
        self.publisher.wake()

    def set_baseline(self, config: int | None) -> None:
        """Compare with a configuration from now on; None for the one selected before."""
        self.baseline = config
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
        """Show what people changed in a panel, such as a colour or a zoom."""
        self._revision += 1
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

    def go_to(self, moment: int | None) -> None:
        """Show the run as it was after so many evaluations, None for as it is."""
        with self._lock:
            self.moment = moment
        self.publisher.wake()

    def go_on(self, shown: int | None, following: int | None) -> bool:
        """From the moment that is shown to the one after it, unless somebody went elsewhere; whether so."""
        with self._lock:
            if self.moment != shown:
                return False
            self.moment = following
        self.publisher.wake()
        return True

    def view(self) -> View:
        """What is to be shown."""
        now, moment, preferred = self.study.snapshot, self.moment, self.preferred  # others may set them
        snapshot = now if moment is None else past(now, moment, self.problem)
        if preferred is not None and len(snapshot.front) and self.draft is None:
            self._turn_to(choose(snapshot, preferred, self.problem))
        there = len(snapshot.evaluations)
        config, previous, baseline = (
            one if one is None or one < there else None for one in (*self._selected, self.baseline)
        )
        validated = self.study.validated
        return View(
            snapshot=snapshot,
            now=now,
            moment=moment,
            config=config,
            against=previous if self.baseline is None else baseline,
            has_baseline=self.baseline is not None,
            draft=None if config is None else self._drafts.get(config),
            preferred=preferred,
            nodes=self.nodes,
            references=self.references,
            validated=None if config is None else validated.get(config),
            measured=len(validated),
            revision=self._revision,
        )

    def evaluate_references(self) -> None:
        """Points for orientation, the same width everywhere; and whatever makes Start slow."""
        self.study.prepare()
        for width in REFERENCE_WIDTHS:
            if width in self._everywhere and not self.publisher.closed:
                objectives = np.asarray(self.study.what_if(width), dtype=np.float64)[None]
                drawn = infos.drawn_values(objectives, self.problem)[0]
                self.references = (*self.references, (f"{width} bit", drawn))

    @property
    def _everywhere(self) -> list[int]:
        """The widths that every node may take."""
        everywhere = np.flatnonzero(choices(self.problem).all(axis=0))
        return [int(self.problem.bit_widths[place]) for place in everywhere]

    def _turn_to(self, config: int) -> None:
        now, before = self._selected
        if config != now:
            self._selected = config, now if self.preferred is None else before
