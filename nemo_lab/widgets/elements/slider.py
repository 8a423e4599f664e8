"""A labelled slider over whole numbers from 0."""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets


class Slider(anywidget.AnyWidget):
    """The browser's own slider.

    Attributes:
        label: its name, shown before it.
        value: from 0 to ``max``.
    """

    _esm = Path(__file__).parent / "slider.js"
    label = traitlets.Unicode().tag(sync=True)
    value = traitlets.Int(0).tag(sync=True)
    max = traitlets.Int(0).tag(sync=True)
