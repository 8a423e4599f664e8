"""The panel of the Pareto front."""

from __future__ import annotations

import time
from typing import Any

import ipywidgets as w
import numpy as np

from nemo_lab import plots
from nemo_lab.plots import info as infos
from nemo_lab.plots.front import VIEWS, Places
from nemo_lab.plots.front_info import drawn
from nemo_lab.search.problem import bounds_of
from nemo_lab.widgets import markup
from nemo_lab.widgets.elements.figure import Figure
from nemo_lab.widgets.elements.slider import Slider
from nemo_lab.widgets.panels import inspector_html
from nemo_lab.widgets.panels.base import Panel, Slowly, field, row, title
from nemo_lab.widgets.view_state import Hub, View

EVERYTHING, FRONT, ASKED = "everything", "the front", "what is asked for"
PROJECTIONS, PARALLEL = "projections", "parallel coordinates"
REPLAY_STEPS, REPLAY_SECONDS = 40, 12.0


class FrontPanel(Panel):
    """Views of all evaluations and the front among them; a tap selects, a box asks, a slider goes back."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        problem = hub.problem
        self._quiet = False
        self.heading, self.chosen = w.HTML(), w.HTML()
        self.figure = Figure(
            lambda: plots.front_plot(problem, infos.drawn_objectives(problem)),
            selectable={"front": False, "evaluated": False, "beyond": False},
            on_select=lambda _, keys: hub.select(keys[-1]),
            on_box=lambda plot, box: self.do(lambda: self._aspire(plot, box)),
        )
        self.parallel = Figure(
            lambda: plots.parallel_plot(problem.objective_names),
            selectable={"lines": False},
            on_select=lambda _, keys: hub.select(keys[-1]),
        )
        self.course, self._slowly = Figure(plots.hypervolume_plot), Slowly()
        self.figures = self.figure, self.course, self.parallel
        self.shape = field(w.Dropdown, "Show as", 230, 60, options=[PROJECTIONS, PARALLEL])
        self.drag = field(
            w.Dropdown, "Dragging", 190, 64, options=[(label, name) for name, label in plots.DRAG.items()]
        )
        self.range = field(w.Dropdown, "Zoom to", 200, 56, options=[EVERYTHING, FRONT, ASKED])
        self.anywhere = self.button(
            "Look everywhere", "Take the box away that the search concentrates on", hub.study.aspire
        )
        self.validate = self.button(
            "Validate the front",
            "Measure every member of the front on held-out images, beside the search",
            lambda: self.aside(hub.study.validate),
        )
        self.shape.observe(lambda _: self.do(self._reshape), names="value")
        self.drag.observe(lambda change: self._drag(change["new"]), names="value")
        self.range.observe(lambda _: self.do(self._zoom), names="value")
        self._make_time()
        self._places = Places()
        self._config: int | None = None
        self._compose(
            [
                self.heading,
                row(self.shape, self.range, self.drag, self.validate, self.anywhere),
                self.chosen,
                self.figure,
                self.parallel,
                self.course,
                row(self.moment, self.replay, self.live),
            ]
        )

    def _make_time(self) -> None:
        self.moment = Slider(label="Look back to", layout={"width": "min(620px, 98%)"})
        self.moment.observe(self._moved, names="value")
        self.replay = self.button(
            "Replay", "Show the run again from its beginning", lambda: self.aside(self._replay)
        )
        self.live = self.button("Now", "Back to the run as it is now", lambda: self._look_back(None))

    def _moved(self, change: Any) -> None:
        if not self._quiet:
            self._look_back(int(change["new"]))

    def _look_back(self, moment: int | None) -> None:
        last = len(self.study.snapshot.evaluations)
        self.hub.look_back(None if moment is None or moment >= last else moment)

    def _replay(self) -> None:
        """Step through the run; whoever moves the slider takes over."""
        last = len(self.study.snapshot.evaluations)
        for moment in np.linspace(0, last, min(REPLAY_STEPS, last + 1)).astype(int):
            if self.hub.publisher.closed:
                return
            self._look_back(int(moment))
            asked = self.hub.moment
            time.sleep(REPLAY_SECONDS / REPLAY_STEPS)
            if self.hub.moment != asked:
                return

    def _drag(self, tool: str) -> None:
        self.figure.drag = tool

    def _reshape(self) -> None:
        """Show one of the two figures; the other is not kept up."""
        parallel = self.shape.value == PARALLEL
        if parallel:
            self.parallel.show(plots.parallel_columns(self._info, self._config))
        self.figure.layout.display = "none" if parallel else ""
        self.parallel.layout.display = "" if parallel else "none"

    def _aspire(self, plot: str, box: tuple[float, ...]) -> None:
        """Ask the search to concentrate on a box drawn in one of the views."""
        names = dict(zip(plots.front.PLACES, infos.drawn_objectives(self.problem), strict=True))
        x, y, _ = VIEWS[plot]
        asked: dict[str, tuple[float, float]] = {}
        for name, ends in ((names[x], box[:2]), (names[y], box[2:])):
            low, high = np.sort(drawn(np.array(ends), name))
            least, most = bounds_of(self.problem)[:, self.problem.objective_names.index(name)]
            asked[name] = (max(float(low), float(least)), min(float(high), float(most)))
        self.study.aspire(**asked)

    def show(self, view: View) -> None:
        """See ``Panel``."""
        names = [one.name for one in self.study.species]
        info = infos.front_info(view.snapshot, self.problem, names, self.study.validated)
        self.heading.value = title("Pareto front", markup.front_legend(names, bool(view.snapshot.pins))).value
        self.chosen.value = inspector_html.line(view, self.problem)
        self._info, self._config = info, view.config
        members = self._places.of(view.snapshot.front)
        self.figure.show(plots.front_columns(info, view.config, view.references, members))
        self._reshape()
        if self._slowly.due(view):
            self.course.show(plots.hypervolume_columns(infos.species_info(view.now, names), view.moment))
        self._zoom()
        self._quiet = True
        last = len(view.now.evaluations)
        with self.moment.hold_sync():  # one message: it never shows half of it
            self.moment.max = last
            self.moment.value = last if view.moment is None else view.moment
        self._quiet = False
        self.live.disabled = view.moment is None
        self.replay.disabled = not last
        self.anywhere.layout.display = "" if view.now.rules.aspiration else "none"

    def _zoom(self) -> None:
        """Show what is wanted of the points, everything by default."""
        info, points = self._info, np.zeros((0, 3))
        if self.range.value == FRONT:
            points = info.values[info.on_front]
        elif self.range.value == ASKED and not np.isnan(info.asked).all():
            points = np.where(np.isnan(info.asked), info.bounds, info.asked)
        self.figure.ranges = plots.front_ranges(points)
