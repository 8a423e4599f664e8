"""The front panel: three views of all evaluated configurations and of the front among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bokeh.layouts import row
from bokeh.models import (
    BoxSelectTool,
    BoxZoomTool,
    ColorBar,
    DataRange1d,
    HoverTool,
    LinearColorMapper,
    NumeralTickFormatter,
    PanTool,
    TapTool,
)
from bokeh.palettes import Viridis256
from bokeh.transform import transform

from nemo_lab.plots import style
from nemo_lab.plots.figure import Plot, plain_figure, source
from nemo_lab.search.objective import Objective

# what lies across, what upright, and what is the colour in each view
VIEWS = {"left": ("x1", "y", "x2"), "right": ("x2", "y", "x1"), "map": ("x1", "x2", "y")}
PLACES = ("y", "x1", "x2")  # of the three objectives drawn
ROOM = 0.2  # of an upright range, for the labels of the references
DRAG = {"": "off", "box_zoom": "zoom", "pan": "pan", "box_select": "set aspiration"}


def front_plot(axes: tuple[Objective, Objective, Objective]) -> Plot:
    """An empty front panel for three objectives, see ``drawn_objectives``; ``front_columns`` fills it."""
    common = ("key", *PLACES, "species", "generation")
    sources = {
        "evaluated": source("evaluated", *common, "alpha"),
        "beyond": source("beyond", *common),
        "front": source("front", *common, "marker"),
        "held": source("held", "key", *PLACES, "low", "high", "text", "marker", "width"),
        "references": source("references", *PLACES, "text"),
        "chosen": source("chosen", *PLACES),
        "asked": source("asked", *(f"{end}_{place}" for place in PLACES for end in ("low", "high"))),
    }
    called = dict(zip(PLACES, axes, strict=True))
    ranges = {place: DataRange1d(name=place, range_padding=0.08) for place in PLACES}
    ranges["y"].range_padding = ROOM
    figures = []
    for name, (x, y, color) in VIEWS.items():
        third = called[color]
        low, high = sorted(float(third.display.of(end)) for end in (third.low, third.high))
        mapper = LinearColorMapper(Viridis256, low=low, high=high, name=f"color_{name}")
        p = plain_figure(
            name=name,
            height=320,
            min_width=290,
            tools=[
                PanTool(name="pan"),
                BoxZoomTool(name="box_zoom"),
                BoxSelectTool(name="box_select", renderers=[], persistent=False),
            ],
            x_axis_label=called[x].axis,
            y_axis_label=called[y].axis,
            x_range=ranges[x],
            y_range=DataRange1d(name="map", range_padding=ROOM) if name == "map" else ranges[y],
            active_drag=None,
        )
        _draw(p, sources, x, y, transform(color, mapper))
        _explain(p, axes, [called[x], called[y]])
        p.add_layout(_color_bar(mapper, third), "right")
        figures.append(p)
    layout = row(*figures, sizing_mode="stretch_width", styles={"flex-wrap": "wrap"})
    labels = [one.axis for one in axes]
    label = f"Pareto front: {labels[0]} over {labels[1]}, over {labels[2]}, and as a colour over both"
    return Plot(layout, sources, label)


def _draw(p: Any, sources: Any, x: str, y: str, color: Any) -> None:
    """All glyphs of one view, from the background to the foreground."""
    p.quad(
        f"low_{x}", f"high_{x}", f"high_{y}", f"low_{y}",
        source=sources["asked"], fill_color=style.SELECTION_COLOR, fill_alpha=0.08,
        line_color=style.SELECTION_COLOR, line_dash="dashed", line_width=1.5,
    )  # fmt: skip
    evaluated = p.scatter(
        x, y, source=sources["evaluated"], size=5, color=style.MUTED, alpha="alpha", line_color=None
    )
    beyond = p.scatter(x, y, source=sources["beyond"], size=9, fill_color=None, line_width=1, line_alpha=0.7)
    beyond.glyph.tags = [style.FAINT]
    references = p.scatter(
        x, y, source=sources["references"], size=9, marker="x", line_width=2, line_color=style.MUTED
    )
    references.glyph.tags = [style.FAINT]
    labels = p.text(
        x, y, "text", source=sources["references"], text_font_size="11px", text_align="center", y_offset=-7
    )
    labels.glyph.tags = [style.INK]
    front = p.scatter(x, y, source=sources["front"], marker="marker", size=11, fill_color=color, line_width=1)
    front.glyph.tags = [style.INK]
    front.name = "front"
    if y == "y":
        bars = p.segment(x, "low", x, "high", source=sources["held"], line_width=1.5)
        bars.glyph.tags = [style.INK]
        held = p.scatter(
            x,
            y,
            source=sources["held"],
            marker="marker",
            size=12,
            line_width="width",
            line_color=style.PIN_COLOR,
            fill_color=None,
        )
        p.add_tools(HoverTool(renderers=[held], tooltips=[("config", "@key"), ("held out", "@text")]))
    p.scatter(
        x, y, source=sources["chosen"], size=20, fill_color=None, line_color=style.SELECTION_COLOR,
        line_width=3,
    )  # fmt: skip
    taken = [evaluated, beyond, front]
    for renderer in taken:
        renderer.nonselection_glyph = renderer.selection_glyph = None
    p.add_tools(TapTool(renderers=taken))
    p.select_one(TapTool).name = None


def _explain(p: Any, objectives: Sequence[Objective], upon: Sequence[Objective]) -> None:
    """What shows under the mouse, and how the numbers of both axes are written."""
    shown = [
        (one.axis, f"@{place}{{{one.format.hover}}}") for place, one in zip(PLACES, objectives, strict=True)
    ]
    taken = p.select_one(TapTool).renderers
    tooltips = [("config", "@key"), *shown, ("species", "@species"), ("generation", "@generation")]
    p.add_tools(HoverTool(renderers=taken, tooltips=tooltips))
    for axis, one in zip((p.xaxis, p.yaxis), upon, strict=True):
        if one.format.ticks:
            axis.formatter = NumeralTickFormatter(format=one.format.ticks)


def _color_bar(mapper: LinearColorMapper, one: Objective) -> ColorBar:
    bar = ColorBar(
        color_mapper=mapper,
        title=one.label,
        width=8,
        padding=6,
        title_text_font_style="normal",
        background_fill_color=None,
    )
    if one.format.ticks:
        bar.formatter = NumeralTickFormatter(format=one.format.ticks)
    return bar
