"""The graph panel: the workload in execution order, nodes coloured by bit-width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from bokeh.models import BoxSelectTool, HoverTool, Range1d, TapTool
from numpy.typing import NDArray

from nemo_lab.plots import style
from nemo_lab.plots.figure import Columns, Plot, plain_figure, source
from nemo_lab.plots.info import GraphInfo, pinned_widths
from nemo_lab.search.rules import Pins, width_text

WEIGHT_LANE, ACTIVATION_LANE = 1.0, 0.0
VISIBLE_NODES = 64


def graph_plot(info: GraphInfo) -> Plot:
    """The workload, not yet coloured; ``graph_columns`` colours it."""
    count = len(info.names)
    nodes = source("nodes", "key", "x", "y", "size", "marker", "color", "text", "ink", "bits", "pinned")
    pins = source("pins", "x", "y")
    p = plain_figure(
        height=250,
        tools="xpan,xwheel_pan,reset",
        active_drag=None,
        active_scroll=None,
        x_range=Range1d(-1, min(count, VISIBLE_NODES), bounds=(-1, count)),
        y_range=Range1d(-1.15, 1.75),
    )
    p.axis.visible = False
    p.grid.visible = False
    _blocks(p, info)
    _edges(p, info)
    p.text(
        [-0.9, -0.9],
        [WEIGHT_LANE + 0.3, ACTIVATION_LANE + 0.3],
        ["weights", "activations"],
        text_font_size="11px",
    ).glyph.tags = [style.FAINT]
    drawn = p.scatter(
        "x", "y", source=nodes, size="size", marker="marker", fill_color="color", line_width=1, line_alpha=0.7
    )
    drawn.glyph.tags = [style.INK]
    drawn.nonselection_glyph = None
    drawn.selection_glyph = drawn.glyph.clone()
    drawn.selection_glyph.update(line_color=style.SELECTION_COLOR, line_width=4, line_alpha=1.0, tags=[])
    numbers = p.text(
        "x",
        "y",
        "text",
        source=nodes,
        text_color="ink",
        text_align="center",
        text_baseline="middle",
        text_font_size="11px",
        text_font_style="bold",
    )
    numbers.nonselection_glyph = numbers.selection_glyph = None
    p.scatter("x", "y", source=pins, marker="inverted_triangle", size=11, color=style.PIN_COLOR)
    tooltips = [
        ("node", "@name"),
        ("type", "@op"),
        ("shape", "@shape"),
        ("weights", "@params{0,0}"),
        ("MACs", "@macs{0,0}"),
        ("bits", "@bits"),
        ("pinned to", "@pinned"),
    ]
    p.add_tools(
        HoverTool(renderers=[drawn], tooltips=tooltips),
        TapTool(renderers=[drawn]),
        BoxSelectTool(renderers=[drawn]),
    )
    p.toolbar.active_drag = p.select_one(BoxSelectTool)
    label = f"The network's {count} quantizers in execution order, weights above activations, by bit-width"
    return Plot(p, {"nodes": nodes, "pins": pins}, label)


def _blocks(p: Any, info: GraphInfo) -> None:
    """Shaded stretches with the name of each block."""
    labels = [label for label, _, _ in info.groups]
    first, last = (np.array([group[k] for group in info.groups], dtype=np.float64) for k in (1, 2))
    shaded = slice(0, None, 2)
    p.quad(
        first[shaded] - 0.5,
        last[shaded] + 0.5,
        1.45,
        -1.15,
        fill_color=style.MUTED,
        fill_alpha=0.10,
        line_color=None,
    )
    names = p.text(
        (first + last) / 2,
        [1.6] * len(labels),
        labels,
        text_align="center",
        text_baseline="middle",
        text_font_size="11px",
    )
    names.glyph.tags = [style.INK]


def _edges(p: Any, info: GraphInfo) -> None:
    """Straight lines to neighbours, arcs below for what skips ahead."""
    lane = np.array([WEIGHT_LANE if kind == "weight" else ACTIVATION_LANE for kind in info.kinds])
    start, end = info.edges
    skips = (end - start > 2) & (lane[start] == lane[end])
    near = ~skips
    p.segment(
        start[near], lane[start[near]], end[near], lane[end[near]], line_width=1.5, line_alpha=0.5
    ).glyph.tags = [style.FAINT]
    p.quadratic(
        start[skips],
        lane[start[skips]],
        end[skips],
        lane[end[skips]],
        (start[skips] + end[skips]) / 2,
        lane[start[skips]] - np.minimum(1.9, 0.25 * (end - start)[skips]),
        line_width=2,
        line_alpha=0.8,
    ).glyph.tags = [style.FAINT]


def graph_columns(
    info: GraphInfo, bits: NDArray[np.uint8] | None, widths: Sequence[int], pins: Pins
) -> Columns:
    """The data of the graph panel.

    Args:
        info: of the problem.
        bits: uint8[Q] of the configuration shown; grey nodes without one.
        widths: the allowed bit-widths.
        pins: node -> width, or (lowest, highest).
    """
    count = len(info.names)
    colors = style.width_colors(widths)
    weight = np.array([kind == "weight" for kind in info.kinds])
    magnitude = np.where(weight, info.params, info.macs)
    scale = np.sqrt(magnitude / max(float(magnitude.max()), 1.0))
    for lane in (weight, ~weight):
        if lane.any():
            scale[lane] /= max(float(scale[lane].max()), 1e-9)
    pinned = pinned_widths(pins, count)
    fill = [
        style.MUTED if bits is None else colors.get(int(b), style.MUTED)
        for b in (bits if bits is not None else pinned)
    ]
    lanes = np.where(weight, WEIGHT_LANE, ACTIVATION_LANE)
    held = np.array(sorted(pins), dtype=np.int64)
    return {
        "nodes": {
            "key": np.arange(count, dtype=np.int32),
            "x": np.arange(count, dtype=np.float64),
            "y": lanes,
            "size": 16.0 + 11.0 * scale,
            "marker": ["square" if is_weight else "circle" for is_weight in weight],
            "color": fill,
            "text": [""] * count if bits is None else [str(int(b)) for b in bits],
            "ink": [style.text_on(color) for color in fill],
            "name": list(info.names),
            "op": list(info.ops),
            "shape": list(info.shapes),
            "params": info.params,
            "macs": info.macs,
            "bits": ["-"] * count if bits is None else [str(int(b)) for b in bits],
            "pinned": [width_text(pins[node]) if node in pins else "-" for node in range(count)],
        },
        "pins": {"x": held.astype(np.float64), "y": lanes[held] + 0.38},
    }
