"""The network panel: the workload in execution order, nodes coloured by bit-width or a measured value."""

from __future__ import annotations

from typing import Any

from bokeh.models import BoxSelectTool, BoxZoomTool, HoverTool, PanTool, Range1d, TapTool, WheelZoomTool

from nemo_lab.plots import style
from nemo_lab.plots.figure import Plot, plain_figure, source

TOP, BOTTOM, HEADING, STAGE = 1.45, -1.15, 2.0, 2.36
DRAG = {"box_select": "select", "pan": "pan", "box_zoom": "zoom"}


def graph_plot(count: int, stages: bool) -> Plot:
    """A workload of so many nodes, in stages or not, not yet drawn; ``graph_columns`` draws it."""
    sources = {
        "blocks": source("blocks", "key", "left", "right", "x", "label", "height", "shade", "tip"),
        "stages": source("stages", "key", "left", "right", "x", "label", "tip"),
        "near": source("near", "x0", "y0", "x1", "y1"),
        "arcs": source("arcs", "x0", "y0", "x1", "y1", "cx", "cy"),
        "folded": source("folded", "key", "x", "y", "color", "text", "ink", "pinned", "tip"),
        "framed": source("framed", "x"),
        "found": source("found", "x", "y"),
        "nodes": source("nodes", "key", "x", "y", "size", "marker", "color", "text", "ink", "bits", "pinned"),
        "pins": source("pins", "x", "y"),
    }
    drag = BoxSelectTool(name="box_select")
    # the wheel alone scrolls the notebook
    wheel = WheelZoomTool(dimensions="width", modifiers={"ctrl": True})
    p = plain_figure(
        name="network",
        height=290 if stages else 260,
        tools=[
            PanTool(name="pan", dimensions="width"),
            BoxZoomTool(name="box_zoom", dimensions="width"),
            drag,
            wheel,
        ],
        active_drag=drag,
        active_scroll=wheel,
        x_range=Range1d(-1, count, name="network"),
        y_range=Range1d(BOTTOM, (STAGE if stages else HEADING) + 0.1),
    )
    p.axis.visible = False
    p.grid.visible = False
    blocks = _blocks(p, sources)
    p.segment("x0", "y0", "x1", "y1", source=sources["near"], line_width=1.5, line_alpha=0.5).glyph.tags = [
        style.FAINT
    ]
    p.quadratic(
        "x0", "y0", "x1", "y1", "cx", "cy", source=sources["arcs"], line_width=2, line_alpha=0.8
    ).glyph.tags = [style.FAINT]
    folded = p.rect("x", "y", 1.7, 0.8, source=sources["folded"], fill_color="color", line_width=1)
    folded.glyph.tags = [style.INK]
    p.rect(
        "x", 0.5, 1.7, 0.8, source=sources["framed"], fill_color=None, line_width=4,
        line_color=style.SELECTION_COLOR,
    )  # fmt: skip
    _texts(p, sources["folded"], "11px")
    pinned = p.text(
        "x", 0.06, "pinned", source=sources["folded"], text_align="center", text_baseline="top",
        text_font_size="11px",
    )  # fmt: skip
    pinned.glyph.tags = [style.INK]
    drawn = p.scatter(
        "x", "y", source=sources["nodes"], size="size", marker="marker", fill_color="color", line_width=1,
        line_alpha=0.7,
    )  # fmt: skip
    drawn.glyph.tags = [style.INK]
    drawn.nonselection_glyph = None
    drawn.selection_glyph = drawn.glyph.clone()
    drawn.selection_glyph.update(line_color=style.SELECTION_COLOR, line_width=4, line_alpha=1.0, tags=[])
    _texts(p, sources["nodes"], "11px")
    p.scatter(
        "x", "y", source=sources["found"], size=34, fill_color=None, line_dash="dotted", line_width=2
    ).glyph.tags = [style.INK]
    p.scatter("x", "y", source=sources["pins"], marker="inverted_triangle", size=11, color=style.PIN_COLOR)
    tooltips = [
        ("node", "@name"), ("kind", "@kind"), ("type", "@op"), ("shape", "@shape"),
        ("weights", "@params{0,0}"), ("MACs", "@macs{0,0}"), ("bits", "@bits"), ("pinned to", "@pinned"),
        ("measured", "@measured"),
    ]  # fmt: skip
    headings = [blocks[0], blocks[2]]
    for one in (folded, pinned, *blocks):
        one.nonselection_glyph = one.selection_glyph = None
    drag.renderers = [drawn]
    p.add_tools(
        HoverTool(renderers=[drawn], tooltips=tooltips),
        HoverTool(renderers=[folded, *headings], tooltips="@tip"),
        TapTool(renderers=[drawn, folded, *headings]),
    )
    label = f"The network's {count} bit-widths in execution order, weights above activations, by bit-width"
    return Plot(p, sources, label)


def _texts(p: Any, at: Any, size: str) -> None:
    made = p.text(
        "x", "y", "text", source=at, text_color="ink", text_align="center", text_baseline="middle",
        text_font_size=size, text_font_style="bold",
    )  # fmt: skip
    made.nonselection_glyph = made.selection_glyph = None


def _blocks(p: Any, sources: Any) -> list[Any]:
    """Shaded stretches with a heading each, which opens and folds the block; those of stages above."""
    blocks, stages = sources["blocks"], sources["stages"]
    look = {"fill_color": style.MUTED, "line_color": None}
    heading = p.quad("left", "right", HEADING, TOP, source=blocks, fill_alpha="shade", **look)
    band = p.quad("left", "right", TOP, BOTTOM, source=blocks, fill_alpha="shade", **look)
    stage = p.quad("left", "right", STAGE, HEADING + 0.06, source=stages, fill_alpha=0.25, **look)
    for at, height in ((blocks, "height"), (stages, (STAGE + HEADING) / 2 + 0.03)):
        names = p.text(
            "x", height, "label", source=at, text_align="center", text_baseline="middle",
            text_font_size="11px",
        )  # fmt: skip
        names.glyph.tags = [style.INK]
        names.nonselection_glyph = names.selection_glyph = None
    return [heading, band, stage]
