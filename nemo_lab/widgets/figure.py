"""A live Bokeh figure: a small anywidget that hosts BokehJS and takes whole frames of data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import bokeh
import numpy as np
import traitlets
from bokeh.embed import json_item
from ipywidgets import Widget, widget_serialization

from nemo_lab.plots import Coded, Columns, Plot

HERE = Path(__file__).parent


class BokehLibrary(anywidget.AnyWidget):
    """Carries the installed package's own BokehJS to the browser, once a kernel."""

    _esm = "export default {}"
    source = traitlets.Unicode().tag(sync=True)


def library() -> BokehLibrary:
    """The one carrier of this kernel, made anew if somebody closed it."""
    carrier = _library()
    if carrier.comm is None:
        _library.cache_clear()
        carrier = _library()
    return carrier


@cache
def _library() -> BokehLibrary:
    script = Path(bokeh.__file__).parent / "server" / "static" / "js" / "bokeh.min.js"
    return BokehLibrary(source=script.read_text(encoding="utf-8"))


class Figure(anywidget.AnyWidget):
    """A plot whose data are replaced as a whole, by one message a frame.

    Args:
        plot: layout and named sources.
        selectable: names of sources whose points can be selected, with whether the selection stays.
        on_select: called with the source's name and the keys of the selected points; on whatever
            thread Jupyter delivers messages, so it must return at once.
    """

    _esm = HERE / "figure.js"
    _css = HERE / "figure.css"
    library = traitlets.Instance(Widget).tag(sync=True, **widget_serialization)
    bokeh_version = traitlets.Unicode(bokeh.__version__).tag(sync=True)
    item = traitlets.Dict().tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)
    selectable = traitlets.Dict().tag(sync=True)
    frame = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        plot: Plot,
        *,
        selectable: Mapping[str, bool] | None = None,
        on_select: Callable[[str, list[int]], None] | None = None,
    ) -> None:
        super().__init__(
            library=library(),
            item=json_item(plot.layout),
            label=plot.label,
            selectable=dict(selectable or {}),
        )
        if on_select is not None:
            self.on_msg(lambda _, content, __: on_select(str(content["source"]), list(content["keys"])))

    def show(self, columns: Columns, selected: Mapping[str, Sequence[int]] | None = None) -> None:
        """Replace the data; sends nothing if they are the same. Only the publisher may call it."""
        self.frame = {
            "columns": {
                name: {key: _packed(value) for key, value in data.items()} for name, data in columns.items()
            },
            "selected": {name: list(indices) for name, indices in (selected or {}).items()},
        }


def _packed(value: Any) -> Any:
    """A column as the browser takes it: numbers as bytes, text as a list."""
    if isinstance(value, Coded):
        return {**_packed(value.codes.astype(np.uint8)), "labels": list(value.labels)}
    if isinstance(value, np.ndarray):
        kind = {"f": "f4", "i": "i4", "u": "u1"}[value.dtype.kind]
        return {"dtype": kind, "data": np.ascontiguousarray(value, dtype=f"<{kind}").tobytes()}
    return value
