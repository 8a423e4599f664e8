"""The panel of all interventions, with undo and redo."""

from __future__ import annotations

import ipywidgets as w

from nemo_lab.widgets import markup
from nemo_lab.widgets.elements.looks import alike
from nemo_lab.widgets.panels.base import Panel, row, title
from nemo_lab.widgets.view.records import View
from nemo_lab.widgets.view.state import ViewState


class HistoryPanel(Panel):
    """The interventions so far, undo and redo."""

    def __init__(self, state: ViewState) -> None:
        super().__init__(state)
        self.undo = self.button(
            "Undo", "Undo the latest intervention; evaluations are kept", state.study.undo
        )
        self.redo = self.button("Redo", "Repeat the intervention that was undone last", state.study.redo)
        self.log = alike(w.HTML)
        self._compose([title("Steering log"), row(self.undo, self.redo), self.log])

    def show(self, view: View) -> None:
        """See ``Panel``."""
        back, again = view.now.undo, view.now.redo
        self.undo.disabled, self.redo.disabled = not back, not again
        self.undo.tooltip = f"Undo: {back}" if back else "Nothing to undo"
        self.redo.tooltip = f"Redo: {again}" if again else "Nothing to redo"
        self.log.value = markup.log(view.now)
