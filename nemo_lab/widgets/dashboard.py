"""The dashboard: every panel of a study, alive while it runs in the background."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ipywidgets as w
import numpy as np

from nemo_lab import plots
from nemo_lab.plots import info as infos
from nemo_lab.study import Snapshot, Study, create_study
from nemo_lab.widgets import cells, panels, static, text
from nemo_lab.widgets.figure import Figure
from nemo_lab.widgets.publisher import Publisher
from nemo_lab.widgets.steering import Steering

REFERENCE_WIDTHS = (8, 6, 4)


class Dashboard(w.VBox):
    """The live view of a study; show it by leaving it on the last line of a cell.

    Args:
        study: a study, or what ``create_study`` takes: ``Dashboard("digits")`` opens a fresh one.
        **options: for ``create_study``, if it is to be made.

    Panels can be shown alone: ``dashboard.controls``, ``.front``, ``.graph``, ``.steering``,
    ``.inspector``, ``.species``. Every view shows the same state. ``close()`` takes it away and
    leaves the study alone; so does running the cell that made it again.
    """

    def __init__(self, study: Any, **options: Any) -> None:
        self.study = study if isinstance(study, Study) else create_study(study, **options)
        self._names = tuple(one.name for one in self.study.species)
        self._config: int | None = None
        self._chosen = False  # until somebody chooses, the suggestion follows the front
        self._nodes: tuple[int, ...] = ()
        self._notice = ""
        self._references: tuple[tuple[str, np.ndarray], ...] = ()
        self._drawn: tuple[object, ...] = ()
        problem = self.study.problem
        self._graph_info = infos.graph_info(problem)
        self._publisher = Publisher(self._draw, self._tell)
        self._build()
        super().__init__(self._panels())
        self.add_class("nemo-dashboard")
        self._draw_all(self.study.snapshot)  # before anything can wake the publisher
        self.study.listen(self._publisher.wake)
        if not self.study.watching:
            self._publisher.aside(self._evaluate_references)
        cells.replace(self)

    def _build(self) -> None:
        problem, do = self.study.problem, self._publisher.do
        self._controls = panels.Controls(self.study, self._publisher.now)
        self._steering = Steering(self.study, do, self._select_nodes, self._try, lambda: self._config)
        self._front = Figure(
            plots.front_plot(problem, infos.drawn_objectives(problem)),
            selectable={"front": False, "evaluated": False},
            on_select=lambda _, keys: self.select(keys[-1]),
        )
        self._graph = Figure(
            plots.graph_plot(self._graph_info),
            selectable={"nodes": True},
            on_select=lambda _, keys: self._select_nodes(tuple(keys)),
        )
        self._species = Figure(plots.species_plot(self._names))
        self._strip = Figure(plots.bits_plot(problem.node_names, problem.bit_widths))
        self._inspector = panels.Inspector(self._strip, do, self._step, self.select, self._validate)
        self._message = w.HTML()
        legend = w.HTML(text.width_legend(problem.bit_widths))
        self.controls = self._controls.widget
        self.front = w.VBox(
            [panels.title("Pareto front", text.species_legend(self._names, colored=False)), self._front]
        )
        self.graph = w.VBox(
            [panels.title(f"Network: {len(problem.node_names)} bit-widths"), legend, self._graph]
        )
        self.steering = self._steering.widget
        self.inspector = self._inspector.widget
        self.species = w.VBox(
            [panels.title("Species", text.species_legend(self._names, colored=True)), self._species]
        )

    def _panels(self) -> Sequence[w.Widget]:
        below = w.HBox([self.steering, self.inspector], layout={"flex_flow": "row wrap", "grid_gap": "24px"})
        shown = [self.controls, self.front, self.graph, self.steering, self.inspector, self.species]
        for panel in shown:
            panel.add_class("nemo-panel")
        return [self.controls, self._message, self.front, self.graph, below, self.species]

    # what people do; on any thread, so these only note it and wake the publisher

    def select(self, config: int) -> None:
        """Load a configuration into the graph and the inspector."""
        if 0 <= config < len(self.study.snapshot.evaluations):
            self._config, self._chosen = config, True
            self._publisher.wake()

    def _select_nodes(self, nodes: tuple[int, ...]) -> None:
        self._nodes = tuple(sorted(nodes))
        self._publisher.wake()

    def _validate(self) -> None:
        """Measure the selected configuration on held-out images, beside the search."""
        config = self._config
        if config is None:
            raise ValueError("no configuration is selected; tap a point of the front first")
        self._publisher.aside(lambda: self.study.validate(config))

    def _try(self, nodes: str | list[str], width: int) -> None:
        """Evaluate the selected configuration with some nodes at another width."""
        if self._config is None:
            raise ValueError("no configuration is selected; tap a point of the front first")
        bits = self.study.config(self._config).to_numpy().copy()
        bits[list(self.study.positions(nodes))] = width
        self.study.enqueue(bits)

    def close(self) -> None:
        """Take the dashboard away; the study goes on."""
        if "_publisher" in vars(self):  # not if there was no study to be made
            self.study.forget(self._publisher.wake)
            self._publisher.close()
            for panel in self.children:
                _close(panel)
        super().close()

    # the publisher's thread only

    def _step(self, by: int) -> None:
        """To the next larger (or smaller) member of the front."""
        snapshot = self.study.snapshot
        if not len(snapshot.front):
            raise ValueError("the front is still empty; press Start")
        objectives = snapshot.evaluations.objectives[snapshot.front]
        size = objectives[:, min(1, objectives.shape[1] - 1)]
        order = snapshot.front[np.argsort(size, kind="stable")].tolist()
        if self._config in order:
            place = min(max(order.index(self._config) + by, 0), len(order) - 1)
        else:
            place = 0 if by > 0 else len(order) - 1
        self._config, self._chosen = order[place], True

    def _evaluate_references(self) -> None:
        """Points for orientation, the same width everywhere; and whatever makes Start slow."""
        self.study.prepare()
        problem = self.study.problem
        for width in REFERENCE_WIDTHS:
            if width in problem.bit_widths and not self._publisher.closed:
                objectives = np.asarray(self.study.what_if(width), dtype=np.float64)[None]
                drawn = infos.drawn_values(objectives, problem)[0]
                self._references = (*self._references, (f"{width} bit", drawn))

    def _tell(self, message: str) -> None:
        self._notice = message
        self._show_message(self.study.snapshot)

    def _show_message(self, snapshot: Snapshot) -> None:
        failure = text.failure(snapshot.error) if snapshot.error else ""
        self._message.value = failure + text.notice(self._notice)

    def _draw(self) -> None:
        self._draw_all(self.study.snapshot)

    def _draw_all(self, snapshot: Snapshot) -> None:
        problem = self.study.problem
        done = len(snapshot.evaluations)
        if not self._chosen and len(snapshot.front):
            self._config = _suggestion(snapshot)
        self._controls.show(snapshot.state, text.status(snapshot, self.study.seed))
        validated = self.study.validated.get(-1 if self._config is None else self._config)
        state = (
            snapshot.version, self._config, self._nodes, len(self._references), self._notice, validated
        )  # fmt: skip
        if state == self._drawn:
            return
        self._show_message(snapshot)
        self._front.show(
            plots.front_columns(
                infos.front_info(snapshot, problem, self._names), self._config, self._references
            )
        )
        bits = None if self._config is None else snapshot.evaluations.bits[self._config]
        self._graph.show(
            plots.graph_columns(self._graph_info, bits, problem.bit_widths, snapshot.pins),
            {"nodes": self._nodes},
        )
        self._steering.show(snapshot, self._nodes)
        self._strip.show(plots.bits_columns(bits, problem.node_names, problem.bit_widths))
        self._inspector.show(
            self._config,
            done,
            text.selection(snapshot, problem, self._names, self._config, self._graph_info.kinds, validated),
        )
        self._species.show(plots.species_columns(infos.species_info(snapshot, self._names)))
        self._drawn = state

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The live view, and for places without a kernel a picture and a table."""
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**data, "text/html": static.page(self.study)}, metadata


def _close(widget: w.Widget) -> None:
    """Close a widget and all inside it, in every view."""
    for child in getattr(widget, "children", ()):
        _close(child)
    widget.close()


def _suggestion(snapshot: Snapshot, tolerance: float = 0.01) -> int:
    """The front member smallest in the second objective that is within a point of the best in the first."""
    objectives = snapshot.evaluations.objectives[snapshot.front]
    good = objectives[:, 0] <= objectives[:, 0].min() + tolerance
    second = objectives[:, min(1, objectives.shape[1] - 1)]
    return int(snapshot.front[np.where(good, second, np.inf).argmin()])
