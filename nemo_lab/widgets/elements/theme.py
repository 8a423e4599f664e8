"""What every panel needs in the browser, also when it is shown alone."""

from __future__ import annotations

from pathlib import Path

import anywidget

HERE = Path(__file__).parent


class Look(anywidget.AnyWidget):
    """The style sheet of the panels, and their keys; shows nothing itself."""

    _esm = HERE / "theme.js"
    _css = HERE / "theme.css"

    def __init__(self) -> None:
        super().__init__(layout={"display": "none"})
