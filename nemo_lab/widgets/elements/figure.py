"""A live Bokeh figure: a small anywidget that hosts BokehJS and takes whole frames of data."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import anywidget
import bokeh
import traitlets
from bokeh.embed import json_item
from ipywidgets import Widget, widget_serialization

from nemo_lab.plots import Columns, Plot
from nemo_lab.widgets.elements.element import Element, module
from nemo_lab.widgets.elements.frame_diff import changes, packed
from nemo_lab.widgets.elements.source import text


def bokeh_script() -> str:
    """BokehJS of the installed version."""
    script = Path(bokeh.__file__).parent / "server" / "static" / "js" / "bokeh.min.js"
    return script.read_text(encoding="utf-8")


class BokehLibrary(anywidget.AnyWidget):
    """Carries the installed package's own BokehJS to the browser, once a kernel: dashboards come and go."""

    shared = True
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
    return BokehLibrary(source=bokeh_script())


@lru_cache(maxsize=64)
def _drawn(draw: Callable[..., Plot], *arguments: Hashable) -> tuple[str, Any]:
    """Label and item of a plot; a dashboard's take Bokeh two seconds, and the next one shows the same."""
    plot = draw(*arguments)
    return plot.label, json_item(plot.layout)


class Figure(Element):
    """A plot whose data are replaced by frames, of which only what is new is sent.

    Args:
        make: calls ``redraw`` of the figure it is given. Until it is built the figure is an empty place;
            what it is to show can be told before.
        selectable: names of sources whose points can be selected, with whether the selection stays.
        on_select: called with the source's name and the keys of the selected points; on whatever
            thread Jupyter delivers messages, so it must return at once. The same holds for all callbacks.
        on_box: called with the name of a plot and the (x0, x1, y0, y1) of a box that was drawn in it with
            the tool that ``drag`` calls ``"box_select"``.

    Attributes:
        frame: what is shown; a view that opens gets all of it, others only what changes.
        ranges: by the name of a range of the plot, [start, end] to be shown; those left out show everything.
            Of those that are given it says what the mouse made of them.
        drag: what dragging in the plot does: the name of one of its tools, empty for nothing.
        pixels: how wide the view is that was opened or resized last.
    """

    _esm = module("bokeh_models.js", "turns.js", "frames.js", "figure.js")
    _css = text("figure.css")
    library = traitlets.Instance(Widget).tag(sync=True, **widget_serialization)
    bokeh_version = traitlets.Unicode(bokeh.__version__).tag(sync=True)
    item = traitlets.Dict().tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)
    selectable = traitlets.Dict().tag(sync=True)
    frame = traitlets.Dict().tag(sync=True)
    ranges = traitlets.Dict().tag(sync=True)
    drag = traitlets.Unicode().tag(sync=True)
    pixels = traitlets.Int(900).tag(sync=True)

    def __init__(
        self,
        make: Callable[[Figure], None],
        *,
        selectable: Mapping[str, bool] | None = None,
        on_select: Callable[[str, list[int]], None] | None = None,
        on_box: Callable[[str, tuple[float, ...]], None] | None = None,
    ) -> None:
        self._make, self._on_select, self._on_box = make, on_select, on_box
        self.sent = 0  # bytes of all frames so far, for those who measure
        super().__init__(
            library=library(),
            selectable=dict(selectable or {}),
            frame={"number": 0, "columns": {}, "selected": {}},
        )
        self.on_msg(lambda _, content, __: self._answer(content))

    def build(self) -> None:
        """Make the plot, unless it is there."""
        if not self.item:
            self._make(self)

    def show(self, columns: Columns, selected: Mapping[str, Sequence[int]] | None = None) -> None:
        """Replace the data; sends what is new. Only the publisher may call it."""
        old, new = self.frame, packed(columns)
        chosen = {name: list(indices) for name, indices in (selected or {}).items()}
        changed, buffers = changes(old["columns"], new)
        if not changed and chosen == old["selected"]:
            return
        base = old["number"]
        self.frame = {"number": base + 1, "columns": new, "selected": chosen}
        self.sent += sum(map(len, buffers)) + len(json.dumps([changed, chosen]))
        self.send({"base": base, "columns": changed, "selected": chosen}, buffers)

    def redraw(self, draw: Callable[..., Plot], *arguments: Hashable) -> None:
        """Another layout, with the same names of sources or more; ``show`` fills it.

        Args:
            draw: gives the plot, layout and named sources, the same for equal arguments.
            arguments: of it.
        """
        self.label, self.item = _drawn(draw, *arguments)

    def _answer(self, content: Mapping[str, Any]) -> None:
        if "again" in content:  # a browser that missed a frame
            self.send_state("frame")
        elif "root" in content:  # one that opens, and may have missed what was drawn meanwhile
            if content["root"] != self.item.get("root_id"):
                self.send_state(["label", "item", "ranges", "drag"])
            if content["frame"] != self.frame["number"]:
                self.send_state("frame")
        elif "box" in content and self._on_box is not None:
            self._on_box(str(content["plot"]), tuple(map(float, content["box"])))
        elif "keys" in content and self._on_select is not None:
            self._on_select(str(content["source"]), list(map(int, content["keys"])))

    def _should_send_property(self, key: str, value: Any) -> bool:
        """Frames are sent by ``show``, and not again as a whole when they change."""
        return key != "frame" and bool(super()._should_send_property(key, value))
