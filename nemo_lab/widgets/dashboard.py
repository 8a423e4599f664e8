"""The dashboard: every panel of a study, alive while it runs in the background."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import ipywidgets as w

from nemo_lab.study import Study, create_study
from nemo_lab.widgets import cell_outputs
from nemo_lab.widgets.elements.looks import few_looks
from nemo_lab.widgets.elements.tree import close_tree
from nemo_lab.widgets.panels.base import Panel
from nemo_lab.widgets.panels.controls import ControlsPanel
from nemo_lab.widgets.panels.front import FrontPanel
from nemo_lab.widgets.panels.history import HistoryPanel
from nemo_lab.widgets.panels.inspector import InspectorPanel
from nemo_lab.widgets.panels.network import NetworkPanel
from nemo_lab.widgets.panels.species import SpeciesPanel
from nemo_lab.widgets.panels.steering import SteeringPanel
from nemo_lab.widgets.static import picture, report
from nemo_lab.widgets.static.saved_output import SavedOutput
from nemo_lab.widgets.view.state import ViewState


class Dashboard(w.VBox):
    """The live view of a study; show it by leaving it on the last line of a cell.

    Args:
        study: a study, or what ``create_study`` takes: ``Dashboard("digits")`` opens a fresh one.
        **options: for ``create_study``, if it is to be made.

    Panels can be shown alone: ``dashboard.controls``, ``.front``, ``.graph``, ``.steering``,
    ``.inspector``, ``.species``, ``.history``. Every view shows the same state. ``close()`` takes it away
    and leaves the study alone; so does running the cell that made it again.
    """

    def __init__(self, study: Any, **options: Any) -> None:
        self.study = study if isinstance(study, Study) else create_study(study, **options)
        self._drawn: tuple[object, ...] = ()
        self._state = state = ViewState(self.study, self._draw)
        self._saved_output = SavedOutput(self.study)
        with few_looks():
            self._controls = ControlsPanel(state, self.save)
            self._front = FrontPanel(state)
            self._graph = NetworkPanel(state)
            self._steering = SteeringPanel(state)
            self._inspector = InspectorPanel(state)
            self._species = SpeciesPanel(state)
            self._history = HistoryPanel(state)
        self._panels: tuple[Panel, ...] = (
            self._controls, self._front, self._graph, self._steering, self._inspector, self._species,
            self._history,
        )  # fmt: skip
        self.controls, self.front, self.graph = (one.widget for one in self._panels[:3])
        self.steering, self.inspector, self.species, self.history = (one.widget for one in self._panels[3:])
        side_by_side = {"flex_flow": "row wrap", "grid_gap": "24px"}
        super().__init__(
            [
                self.controls,
                self.front,
                self.graph,
                w.HBox([self.steering, self.inspector], layout=side_by_side),
                self.species,
                self.history,
            ]
        )
        self.add_class("nemo-dashboard")
        self._draw()  # before anything can wake the publisher
        for panel in self._panels:  # the words are there meanwhile
            for figure in panel.figures:
                panel.do(figure.build)
        self.study.listen(state.publisher.wake)
        if not self.study.following:
            self._front.in_background(state.evaluate_references)
        cell_outputs.replace(self)

    def select(self, config: int) -> None:
        """Show a configuration in the network and the inspector."""
        self._state.select(config)

    def save(self, path: str | os.PathLike[str] = "report.html") -> Path:
        """Write everything the dashboard shows now to one HTML file that opens without kernel and network.

        Its figures can be zoomed and clicked; the front, the interventions and the script are in it, too.
        A file of that name is replaced. The study may be running.

        Returns:
            where it was written.

        Raises:
            ArgumentError: if the file cannot be written.
        """
        return report.save(self.study, path, self._state.config, self._state.references)

    def close(self) -> None:
        """Take the dashboard away; the study goes on."""
        if "_state" in vars(self):  # not if there was no study to be made
            self.study.forget(self._state.publisher.wake)
            self._state.publisher.stop()
            close_tree(self)

    def _draw(self) -> None:
        """Bring every panel to the study's state; the controls always, since a study may be asked to stop."""
        view = self._state.view()
        self._controls.show(view)
        if view.mark != self._drawn:
            for panel in self._panels[1:]:
                panel.show(view)
            self._drawn = view.mark
        self._saved_output.refresh(view)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The live view, and for places without a kernel a picture and a table."""
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**data, "text/html": picture.page(self.study, self._state.config)}, metadata

    def _ipython_display_(self, **kwargs: Any) -> None:
        """The same in a notebook, as two outputs."""
        self._saved_output.show(super()._repr_mimebundle_(**kwargs), self._state.config)
