"""What our own elements have in common: they hear the kernel also where the browser is slow."""

from __future__ import annotations

from uuid import uuid4

import anywidget
import traitlets

from nemo_lab.widgets.elements.source import text


def module(*names: str) -> str:
    """The JavaScript of an element: that of all elements, then the files of these names."""
    return text("element.js", *names)


class Element(anywidget.AnyWidget):
    """A widget with a JavaScript module of ours, made by ``module``, which exports ``initialize``.

    Attributes:
        own: the id of its model, for the model itself.
    """

    own = traitlets.Unicode().tag(sync=True)

    def __init__(self, **values: object) -> None:
        own = uuid4().hex
        super().__init__(model_id=own, own=own, **values)
