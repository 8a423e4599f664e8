"""The panel of the selected configuration."""

from __future__ import annotations

from typing import Any

import ipywidgets as w

from nemo_lab import plots
from nemo_lab.plots import info as infos
from nemo_lab.widgets import text
from nemo_lab.widgets.figure import Figure
from nemo_lab.widgets.hub import Hub, View
from nemo_lab.widgets.panel import Panel, field, row, title


class InspectorPanel(Panel):
    """The selected configuration: numbers, bits strip, and controls to choose it by keyboard."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        problem = hub.problem
        self._kinds = infos.graph_info(problem).kinds
        self.previous = self.button("Previous", "The next smaller model of the front", lambda: hub.step(-1))
        self.next = self.button("Next", "The next larger model of the front", lambda: hub.step(1))
        self.validate = self.button("Validate", "Measure it on held-out images", self._validate)
        self.config = field(w.BoundedIntText, "Config", 150, 48, value=0, min=0, max=0)
        self.quiet = False
        self.config.observe(self._changed, names="value")
        self.text = w.HTML()
        self.strip = Figure(plots.bits_plot(problem.node_names, problem.bit_widths))
        chooser = row(self.previous, self.next, self.config, self.validate)
        self._compose([title("Inspect"), chooser, self.text, self.strip], flex="1 1 400px", min_width="0")

    def _changed(self, change: Any) -> None:
        if not self.quiet:
            self.hub.select(int(change["new"]))

    def _validate(self) -> None:
        """Measure the selected configuration on held-out images, beside the search."""
        config = self.hub.chosen()
        self.aside(lambda: self.study.validate(config))

    def show(self, view: View) -> None:
        """See ``Panel``."""
        self.quiet = True
        self.config.max = max(len(view.snapshot.evaluations) - 1, 0)
        if view.config is not None:
            self.config.value = view.config
        self.quiet = False
        names = [one.name for one in self.study.species]
        self.text.value = text.selection(
            view.snapshot, self.problem, names, view.config, self._kinds, view.validated
        )
        self.strip.show(plots.bits_columns(view.bits, self.problem.node_names, self.problem.bit_widths))
