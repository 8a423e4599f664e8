"""The panel of the network, a node for every bit-width."""

from __future__ import annotations

import ipywidgets as w

from nemo_lab import plots
from nemo_lab.plots import info as infos
from nemo_lab.widgets import text
from nemo_lab.widgets.figure import Figure
from nemo_lab.widgets.hub import Hub, View
from nemo_lab.widgets.panel import Panel, title


class GraphPanel(Panel):
    """The network in execution order; nodes are selected by tap or box."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        problem = hub.problem
        self.info = infos.graph_info(problem)
        self.figure = Figure(
            plots.graph_plot(self.info),
            selectable={"nodes": True},
            on_select=lambda _, keys: hub.select_nodes(tuple(keys)),
        )
        legend = w.HTML(text.width_legend(problem.bit_widths))
        self._compose([title(f"Network: {len(problem.node_names)} bit-widths"), legend, self.figure])

    def show(self, view: View) -> None:
        """See ``Panel``."""
        self.figure.show(
            plots.graph_columns(self.info, view.shown, self.problem.bit_widths, view.snapshot.pins),
            {"nodes": view.nodes},
        )
