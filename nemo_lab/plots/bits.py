"""The bits strip: the bit-width of every node as bars, against those of another configuration."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from bokeh.models import BoxSelectTool, FixedTicker, HoverTool, Range1d, TapTool
from numpy.typing import NDArray

from nemo_lab.plots import style
from nemo_lab.plots.figure import Columns, Plot, plain_figure, source

Bits = NDArray[np.uint8]


def bits_plot(names: Sequence[str], widths: Sequence[int]) -> Plot:
    """An empty strip; ``bits_columns`` fills it."""
    bars = source("bars", "key", "x", "bits", "color", "name", "was")
    marks = source("marks", "x", "x0", "x1", "was", "top", "sign")
    p = plain_figure(
        height=150,
        tools=[BoxSelectTool(dimensions="width"), TapTool()],
        x_range=Range1d(-1, len(names)),
        y_range=Range1d(0, max(widths) + 1.2),
        y_axis_label="bits",
    )
    p.xaxis.visible = False
    p.xgrid.visible = False
    p.yaxis.ticker = FixedTicker(ticks=[float(width) for width in widths if width % 2 == 0])
    drawn = p.vbar("x", 0.8, "bits", source=bars, fill_color="color", line_color=None)
    drawn.nonselection_glyph = None
    drawn.selection_glyph = drawn.glyph.clone()
    drawn.selection_glyph.update(line_color=style.SELECTION_COLOR, line_width=3)
    # what it was: a line across the bar, and a triangle above that points to where it went
    lines = p.segment("x0", "was", "x1", "was", source=marks, line_width=3)
    lines.glyph.tags = [style.INK]
    signs = p.scatter("x", "top", source=marks, marker="sign", size=8, fill_color=style.PIN_COLOR)
    signs.glyph.tags = [style.INK]
    for renderer in (lines, signs):
        renderer.nonselection_glyph = renderer.selection_glyph = None
    # a node is tapped at any height, however short its bar
    column = p.vbar("x", 1.0, p.y_range.end, source=bars, fill_alpha=0.0, line_color=None)
    column.nonselection_glyph = column.selection_glyph = None
    for kind in (TapTool, BoxSelectTool):
        for tool in p.select({"type": kind}):
            tool.renderers = [column]
    tips = [("node", "@name"), ("bits", "@bits"), ("compared with", "@was")]
    p.add_tools(HoverTool(renderers=[column], tooltips=tips, point_policy="follow_mouse"))
    return Plot(p, {"bars": bars, "marks": marks}, "Bit-width of every node of the selected configuration")


def bits_columns(
    bits: Bits | None, names: Sequence[str], widths: Sequence[int], against: Bits | None = None
) -> Columns:
    """The data of the strip; empty without a configuration.

    Args:
        bits: uint8[Q] to be shown.
        names: of the nodes.
        widths: the allowed bit-widths.
        against: uint8[Q] to compare with; nodes that differ are marked.
    """
    shown = np.zeros(0, dtype=np.uint8) if bits is None else bits
    other = shown if against is None else against
    colors = style.width_colors(widths)
    places = np.flatnonzero(shown != other)
    up = shown[places] > other[places]
    return {
        "bars": {
            "key": np.arange(len(shown), dtype=np.int32),
            "x": np.arange(len(shown), dtype=np.float64),
            "bits": shown.astype(np.int32),
            "color": [colors.get(int(b), style.MUTED) for b in shown],
            "name": list(names[: len(shown)]),
            "was": [str(int(b)) for b in other] if against is not None else ["-"] * len(shown),
        },
        "marks": {
            "x": places.astype(np.float64),
            "x0": places - 0.48,
            "x1": places + 0.48,
            "was": other[places].astype(np.float64),
            "top": np.maximum(shown, other)[places] + 0.6,
            "sign": ["triangle" if raised else "inverted_triangle" for raised in up],
        },
    }
