"""What every panel needs in the browser, also when it is shown alone."""

from __future__ import annotations

import anywidget

from nemo_lab.widgets.elements.source import text


class Theme(anywidget.AnyWidget):
    """The style sheet of the panels, and their keys; shows nothing itself."""

    _esm = text("theme.js")
    _css = text("theme.css")

    def __init__(self) -> None:
        super().__init__(layout={"display": "none"})
