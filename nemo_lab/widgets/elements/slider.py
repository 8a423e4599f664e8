"""A labelled slider over whole numbers from 0."""

from __future__ import annotations

import anywidget
import traitlets

from nemo_lab.widgets.elements.source import text


class Slider(anywidget.AnyWidget):
    """The browser's own slider.

    Attributes:
        label: its name, shown before it.
        value: from 0 to ``max``.
    """

    _esm = text("slider.js")
    label = traitlets.Unicode().tag(sync=True)
    value = traitlets.Int(0).tag(sync=True)
    max = traitlets.Int(0).tag(sync=True)
