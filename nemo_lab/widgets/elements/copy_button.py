"""A button that copies a text."""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets


class Copy(anywidget.AnyWidget):
    """Puts a text on the reader's clipboard, and shows it when unfolded.

    Attributes:
        label: of the button.
        text: to be copied; the button is off while there is none.
    """

    _esm = Path(__file__).parent / "copy_button.js"
    label = traitlets.Unicode("Copy").tag(sync=True)
    text = traitlets.Unicode().tag(sync=True)
