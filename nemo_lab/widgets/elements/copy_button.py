"""A button that copies a text."""

from __future__ import annotations

import traitlets

from nemo_lab.widgets.elements.element import Element, module


class CopyButton(Element):
    """Puts a text on the reader's clipboard, and shows it when unfolded.

    Attributes:
        label: of the button.
        text: to be copied; the button is off while there is none.
    """

    _esm = module("copy_button.js")
    label = traitlets.Unicode("Copy").tag(sync=True)
    text = traitlets.Unicode().tag(sync=True)
