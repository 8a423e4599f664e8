"""The panel of what was done by hand, and its undoing."""

from __future__ import annotations

import ipywidgets as w

from nemo_lab.widgets import markup
from nemo_lab.widgets.panels.base import Panel, row, title
from nemo_lab.widgets.view_state import Hub, View


class HistoryPanel(Panel):
    """The steers so far, undo and redo."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self.undo = self.button(
            "Undo", "Take back the latest steer; what was evaluated stays", hub.study.undo
        )
        self.redo = self.button("Redo", "Make the steer again that was undone last", hub.study.redo)
        self.log = w.HTML()
        self._compose([title("What you did"), row(self.undo, self.redo), self.log])

    def show(self, view: View) -> None:
        """See ``Panel``."""
        back, again = view.now.undo, view.now.redo
        self.undo.disabled, self.redo.disabled = not back, not again
        self.undo.tooltip = f"Take back: {back}" if back else "There is nothing to undo"
        self.redo.tooltip = f"Make again: {again}" if again else "There is nothing to redo"
        self.log.value = markup.log(view.now)
