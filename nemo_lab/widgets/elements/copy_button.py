"""A button that copies a text."""

from __future__ import annotations

import anywidget
import traitlets

from nemo_lab.widgets.elements import source


class CopyButton(anywidget.AnyWidget):
    """Puts a text on the reader's clipboard, and shows it when unfolded.

    Attributes:
        label: of the button.
        text: to be copied; the button is off while there is none.
    """

    _esm = source.text("copy_button.js")
    label = traitlets.Unicode("Copy").tag(sync=True)
    text = traitlets.Unicode().tag(sync=True)
