"""The panel of the Pareto front."""

from __future__ import annotations

import time

import ipywidgets as w
import numpy as np

from nemo_lab import plots
from nemo_lab.plots import info as infos
from nemo_lab.plots.front import VIEWS
from nemo_lab.plots.front_columns import Places
from nemo_lab.search.objective import varied
from nemo_lab.widgets import markup
from nemo_lab.widgets.elements.control import Control
from nemo_lab.widgets.elements.figure import Figure
from nemo_lab.widgets.elements.looks import alike
from nemo_lab.widgets.elements.slider import Slider
from nemo_lab.widgets.panels import inspector_html
from nemo_lab.widgets.panels.base import AUTO, Panel, Throttle, field, row
from nemo_lab.widgets.view.records import View
from nemo_lab.widgets.view.state import ViewState

EVERYTHING, FRONT, ASKED = "all points", "front", "constraints and aspiration"
PROJECTIONS, PARALLEL = "projections", "parallel coordinates"
REPLAY_STEPS, REPLAY_SECONDS = 40, 12.0


class FrontPanel(Panel):
    """Views of all evaluations and the front among them; a click selects, a box sets the aspiration."""

    def __init__(self, state: ViewState) -> None:
        super().__init__(state)
        problem = state.problem
        self.heading, self.chosen = alike(w.HTML), alike(w.HTML)
        self.figure = Figure(
            lambda one: one.redraw(plots.front_plot, infos.drawn_objectives(problem)),
            selectable={"front": False, "evaluated": False, "beyond": False},
            on_select=self._tap,
            on_box=lambda plot, box: self.do(lambda: self._aspire(plot, box)),
        )
        self.parallel = Figure(
            lambda one: one.redraw(plots.parallel_plot, varied(problem)),
            selectable={"lines": False},
            on_select=self._tap,
        )
        self.hypervolume = Figure(lambda one: one.redraw(plots.hypervolume_plot))
        self._throttle = Throttle()
        self.figures = self.figure, self.hypervolume, self.parallel
        self.shape = field(w.Dropdown, "Show as", 230, 60, options=[PROJECTIONS, PARALLEL])
        self.drag = field(
            w.Dropdown, "Drag", 190, 36, options=[(label, name) for name, label in plots.DRAG.items()]
        )
        self.range = field(w.Dropdown, "Zoom to", 200, 56, options=[EVERYTHING, FRONT, ASKED])
        self.anywhere = self.button(
            "Clear aspiration", "Remove the aspiration box and search everywhere", state.study.aspire
        )
        self.anywhere.layout = w.Layout(**AUTO)  # of its own: it comes and goes
        self.validate = self.button(
            "Validate front",
            "Measure every member of the front on held-out data, alongside the search",
            lambda: self.in_background(state.study.validate),
        )
        self.shape.observe(lambda _: self.do(self._reshape), names="value")
        self.drag.observe(lambda change: self._drag(change["new"]), names="value")
        self.range.observe(lambda _: self.do(self._zoom), names="value")
        self._make_time()
        self._places = Places()
        self._config: int | None = None
        self._tapped: dict[str, int] = {}  # the last of each source
        self._compose(
            [
                self.heading,
                row(self.shape, self.range, self.drag, self.validate, self.anywhere),
                self.chosen,
                self.figure,
                self.parallel,
                self.hypervolume,
                row(self.moment, self.replay, self.live),
            ]
        )

    def _tap(self, source: str, keys: list[int]) -> None:
        """Select a point; of several that lie on each other each tap takes the next."""
        last = next((key for key in (self.state.config, self._tapped.get(source)) if key in keys), None)
        self._tapped[source] = key = keys[-1] if last is None else keys[keys.index(last) - 1]
        self.state.select(key)

    def _make_time(self) -> None:
        self.moment = Slider(label="History", layout={"width": "min(620px, 98%)"})
        self._moment = Control(self.moment, self._go_to)
        self.replay = self.button(
            "Replay", "Replay the run from its beginning", lambda: self.in_background(self._replay)
        )
        self.live = self.button("Now", "Back to the present", lambda: self._go_to(None))

    def _go_to(self, moment: int | None) -> None:
        last = len(self.study.snapshot.evaluations)
        self.state.go_to(None if moment is None or moment >= last else moment)

    def _replay(self) -> None:
        """Step through the run; whoever moves the slider takes over."""
        last, shown = len(self.study.snapshot.evaluations), self.state.moment
        for moment in np.linspace(0, last, min(REPLAY_STEPS, last + 1)).astype(int).tolist():
            following = None if moment >= last else moment
            if self.state.publisher.closed or not self.state.go_on(shown, following):
                return
            shown = following
            time.sleep(REPLAY_SECONDS / REPLAY_STEPS)

    def _drag(self, tool: str) -> None:
        self.figure.drag = tool

    def _reshape(self) -> None:
        """Show one of the two figures; only that one is updated."""
        parallel = self.shape.value == PARALLEL
        if parallel:
            self.parallel.show(plots.parallel_columns(self._info, self._config))
        self.figure.layout.display = "none" if parallel else ""
        self.parallel.layout.display = "" if parallel else "none"

    def _aspire(self, plot: str, box: tuple[float, ...]) -> None:
        """Focus the search on a box drawn in one of the views."""
        drawn = dict(zip(plots.front.PLACES, infos.drawn_objectives(self.problem), strict=True))
        x, y, _ = VIEWS[plot]
        asked: dict[str, tuple[float, float]] = {}
        for one, ends in ((drawn[x], box[:2]), (drawn[y], box[2:])):
            low, high = np.clip(sorted(one.display.stored(end) for end in ends), one.low, one.high)
            asked[one.name] = (float(low), float(high))
        self.study.aspire(**asked)

    def show(self, view: View) -> None:
        """See ``Panel``."""
        names = [one.name for one in self.study.species]
        info = infos.front_info(view.snapshot, self.problem, names, self.study.validated, self.study.tuned)
        self.heading.value = markup.title(
            "Pareto front", markup.front_legend(names, bool(view.snapshot.pins), bool(self.study.tuned))
        )
        self.chosen.value = inspector_html.line(view, self.problem)
        self._info, self._config = info, view.config
        members = self._places.of(view.snapshot.front)
        self.figure.show(plots.front_columns(info, view.config, view.references, members))
        self._reshape()
        if self._throttle.due(view):
            self.hypervolume.show(plots.hypervolume_columns(infos.species_info(view.now, names), view.moment))
        self._zoom()
        last = len(view.now.evaluations)
        if self.state.moment == view.moment:  # else somebody moved it meanwhile
            self._moment.show(last if view.moment is None else view.moment, max=last)
        self.live.disabled = view.moment is None
        self.replay.disabled = not last
        self.anywhere.layout.display = "" if view.now.constraints.aspiration else "none"

    def _zoom(self) -> None:
        """Show the points that were asked for, all by default."""
        info, points = self._info, np.zeros((0, 3))
        if self.range.value == FRONT:
            points = info.values[info.on_front]
        elif self.range.value == ASKED and not np.isnan(info.asked).all():
            points = np.where(np.isnan(info.asked), info.bounds, info.asked)
        self.figure.ranges = plots.front_ranges(points)
