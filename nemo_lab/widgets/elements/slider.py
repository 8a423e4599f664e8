"""A labelled slider over whole numbers from 0."""

from __future__ import annotations

import traitlets

from nemo_lab.widgets.elements.element import Element, module


class Slider(Element):
    """The browser's own slider.

    Attributes:
        label: its name, shown before it.
        value: from 0 to ``max``.
    """

    _esm = module("slider.js")
    label = traitlets.Unicode().tag(sync=True)
    value = traitlets.Int(0).tag(sync=True)
    max = traitlets.Int(0).tag(sync=True)
