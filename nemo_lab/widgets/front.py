"""The panel of the Pareto front."""

from __future__ import annotations

from nemo_lab import plots
from nemo_lab.plots import info as infos
from nemo_lab.widgets import text
from nemo_lab.widgets.figure import Figure
from nemo_lab.widgets.hub import Hub, View
from nemo_lab.widgets.panel import Panel, title


class FrontPanel(Panel):
    """Projections of all evaluations and the front among them; a tap selects a configuration."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        problem = hub.problem
        self._names = tuple(one.name for one in hub.study.species)
        self.figure = Figure(
            plots.front_plot(problem, infos.drawn_objectives(problem)),
            selectable={"front": False, "evaluated": False},
            on_select=lambda _, keys: hub.select(keys[-1]),
        )
        self._compose([title("Pareto front", text.species_legend(self._names, colored=False)), self.figure])

    def show(self, view: View) -> None:
        """See ``Panel``."""
        info = infos.front_info(view.snapshot, self.problem, self._names)
        self.figure.show(plots.front_columns(info, view.config, view.references))
