"""The graph panel: the workload in execution order, nodes coloured by bit-width or by what they can bear."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from bokeh.models import BoxSelectTool, BoxZoomTool, HoverTool, PanTool, Range1d, TapTool
from bokeh.palettes import Cividis256
from numpy.typing import NDArray

from nemo_lab.plots import style
from nemo_lab.plots.figure import Columns, Plot, plain_figure, source
from nemo_lab.plots.graph_layout import GraphLayout, graph_layout
from nemo_lab.plots.info import GraphInfo
from nemo_lab.search.rules import Pins, width_text

TOP, BOTTOM, HEADING = 1.45, -1.15, 2.0
SIZES = {
    "parameters and MACs": ("params", "macs"),
    "parameters": ("params", "params"),
    "MACs": ("macs", "macs"),
}
DRAG = {"box_select": "select", "pan": "move", "box_zoom": "zoom"}


def graph_plot(info: GraphInfo) -> Plot:
    """The workload, not yet drawn; ``graph_columns`` draws it."""
    count = len(info.names)
    sources = {
        "blocks": source("blocks", "key", "left", "right", "x", "label", "height", "shade", "tip"),
        "near": source("near", "x0", "y0", "x1", "y1"),
        "arcs": source("arcs", "x0", "y0", "x1", "y1", "cx", "cy"),
        "folded": source("folded", "key", "x", "y", "color", "text", "ink", "tip"),
        "nodes": source("nodes", "key", "x", "y", "size", "marker", "color", "text", "ink", "bits", "pinned"),
        "pins": source("pins", "x", "y"),
    }
    drag = BoxSelectTool(name="box_select")
    p = plain_figure(
        height=260,
        tools=[
            PanTool(name="pan", dimensions="width"),
            BoxZoomTool(name="box_zoom", dimensions="width"),
            drag,
        ],
        active_drag=drag,
        x_range=Range1d(-1, count, name="network"),
        y_range=Range1d(BOTTOM, HEADING + 0.1),
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
    _texts(p, sources["folded"], "11px")
    drawn = p.scatter(
        "x", "y", source=sources["nodes"], size="size", marker="marker", fill_color="color", line_width=1,
        line_alpha=0.7,
    )  # fmt: skip
    drawn.glyph.tags = [style.INK]
    drawn.nonselection_glyph = None
    drawn.selection_glyph = drawn.glyph.clone()
    drawn.selection_glyph.update(line_color=style.SELECTION_COLOR, line_width=4, line_alpha=1.0, tags=[])
    _texts(p, sources["nodes"], "11px")
    p.scatter("x", "y", source=sources["pins"], marker="inverted_triangle", size=11, color=style.PIN_COLOR)
    tooltips = [
        ("node", "@name"), ("type", "@op"), ("shape", "@shape"), ("weights", "@params{0,0}"),
        ("MACs", "@macs{0,0}"), ("bits", "@bits"), ("pinned to", "@pinned"), ("colour", "@measured"),
    ]  # fmt: skip
    for one in (folded, *blocks):
        one.nonselection_glyph = one.selection_glyph = None
    drag.renderers = [drawn]
    p.add_tools(
        HoverTool(renderers=[drawn], tooltips=tooltips),
        HoverTool(renderers=[folded, blocks[0]], tooltips="@tip"),
        TapTool(renderers=[drawn, folded, blocks[0]]),
    )
    label = f"The network's {count} quantizers in execution order, weights above activations, by bit-width"
    return Plot(p, sources, label)


def _texts(p: Any, at: Any, size: str) -> None:
    made = p.text(
        "x", "y", "text", source=at, text_color="ink", text_align="center", text_baseline="middle",
        text_font_size=size, text_font_style="bold",
    )  # fmt: skip
    made.nonselection_glyph = made.selection_glyph = None


def _blocks(p: Any, sources: Any) -> list[Any]:
    """Shaded stretches with a heading each, which opens and folds the block."""
    blocks = sources["blocks"]
    look = {"source": blocks, "fill_color": style.MUTED, "fill_alpha": "shade", "line_color": None}
    heading = p.quad("left", "right", HEADING, TOP, **look)
    band = p.quad("left", "right", TOP, BOTTOM, **look)
    names = p.text(
        "x", "height", "label", source=blocks, text_align="center", text_baseline="middle",
        text_font_size="11px",
    )  # fmt: skip
    names.glyph.tags = [style.INK]
    names.nonselection_glyph = names.selection_glyph = None
    return [heading, band]


def graph_columns(
    info: GraphInfo,
    bits: NDArray[np.uint8] | None,
    widths: Sequence[int],
    pins: Pins,
    layout: GraphLayout | None = None,
    *,
    measured: NDArray[np.float64] | None = None,
    size: str = "parameters and MACs",
) -> Columns:
    """The data of the graph panel.

    Args:
        info: of the problem.
        bits: uint8[Q] of the configuration shown; grey nodes without one.
        widths: the allowed bit-widths.
        pins: node -> width, or (lowest, highest).
        layout: where everything stands; nothing folded by default.
        measured: float[Q] to colour by, bit-widths by default.
        size: of ``SIZES``, what the size of a node shows.
    """
    count = len(info.names)
    layout = graph_layout(info) if layout is None else layout
    fill = _colors(bits, widths, measured, count)
    hidden = layout.folded[layout.block]
    weight = np.array([kind == "weight" for kind in info.kinds])
    text = [""] * count if bits is None else [str(int(b)) for b in bits]
    held = np.array(sorted(pins), dtype=np.int64)
    return {
        **_edge_columns(layout),
        "blocks": _block_columns(info, layout),
        "folded": _folded_columns(info, layout, bits, widths, measured, pins),
        "nodes": {
            "key": np.arange(count, dtype=np.int32),
            "x": np.where(hidden, np.nan, layout.x),
            "y": layout.y,
            "size": _sizes(info, weight, size),
            "marker": ["square" if is_weight else "circle" for is_weight in weight],
            "color": fill,
            "text": text,
            "ink": [style.text_on(color) for color in fill],
            "name": list(info.names),
            "op": list(info.ops),
            "shape": list(info.shapes),
            "params": info.params,
            "macs": info.macs,
            "bits": ["-"] * count if bits is None else text,
            "pinned": [width_text(pins[node]) if node in pins else "-" for node in range(count)],
            "measured": ["bits"] * count if measured is None else [f"{value:.3g}" for value in measured],
        },
        "pins": {"x": layout.x[held], "y": layout.y[held] + np.where(hidden[held], 0.55, 0.38)},
    }


def _sizes(info: GraphInfo, weight: NDArray[np.bool_], size: str) -> NDArray[np.float64]:
    """Diameters of 16 to 27 pixels, by the square root; weights and activations each up to the largest."""
    of_weight, of_activation = SIZES[size]
    magnitude = np.where(weight, getattr(info, of_weight), getattr(info, of_activation))
    scale = np.sqrt(magnitude / max(float(magnitude.max()), 1.0))
    if size == "parameters and MACs":
        for lane in (weight, ~weight):
            if lane.any():
                scale[lane] /= max(float(scale[lane].max()), 1e-9)
    return np.asarray(16.0 + 11.0 * scale)


def _colors(
    bits: NDArray[Any] | None, widths: Sequence[int], measured: NDArray[np.float64] | None, count: int
) -> list[str]:
    if measured is not None:
        low, high = np.nanmin(measured), np.nanmax(measured)
        ranks = np.nan_to_num((measured - low) / (high - low if high > low else 1.0))
        return [Cividis256[round(255 * rank)] for rank in ranks]
    if bits is None:
        return [style.MUTED] * count
    colors = style.width_colors(widths)
    return [colors.get(int(b), style.MUTED) for b in bits]


def _block_columns(info: GraphInfo, layout: GraphLayout) -> dict[str, Any]:
    groups = range(len(info.groups))
    crowded = len(groups) > 12
    labels = [label for label, _, _ in info.groups]
    return {
        "key": np.arange(len(groups), dtype=np.int32),
        "left": layout.left,
        "right": layout.right,
        "x": (layout.left + layout.right) / 2,
        "label": labels,
        # headings that would run into each other stand on two lines
        "height": np.array([1.86 if crowded and group % 2 else 1.6 for group in groups]),
        "shade": np.array([0.10 if group % 2 == 0 else 0.03 for group in groups]),
        "tip": [
            f"{label}: {last - first + 1} nodes; tap to {'open' if layout.folded[group] else 'fold'}"
            for group, (label, first, last) in enumerate(info.groups)
        ],
    }


def _folded_columns(
    info: GraphInfo,
    layout: GraphLayout,
    bits: NDArray[np.uint8] | None,
    widths: Sequence[int],
    measured: NDArray[np.float64] | None,
    pins: Pins,
) -> dict[str, Any]:
    """A box for every folded block: its mean bits, coloured by the mean of what colours its nodes."""
    shut = np.flatnonzero(layout.folded)
    places = [np.flatnonzero(layout.block == group) for group in shut]
    means = [float("nan") if bits is None else float(bits[nodes].mean()) for nodes in places]
    if measured is not None:
        low, high = float(np.nanmin(measured)), float(np.nanmax(measured))
        values = np.array([*(np.nanmean(measured[nodes]) for nodes in places), low, high])
        colors = _colors(None, widths, values, 0)[: len(shut)]
    else:
        near = [0] * len(shut) if bits is None else [round(mean) for mean in means]
        colors = _colors(np.array(near), widths, None, len(shut))
    pinned = [int(np.isin(nodes, list(pins)).sum()) for nodes in places]
    return {
        "key": shut.astype(np.int32),
        "x": ((layout.left + layout.right) / 2)[shut],
        "y": np.full(len(shut), 0.5),
        "color": colors,
        "text": ["" if bits is None else f"{mean:.1f}" for mean in means],
        "ink": [style.text_on(color) for color in colors],
        "tip": [
            f"{info.groups[group][0]}: {len(nodes)} nodes, mean bits {mean:.2f}, {held} pinned; tap to open"
            for group, nodes, mean, held in zip(shut, places, means, pinned, strict=True)
        ],
    }


def _edge_columns(layout: GraphLayout) -> dict[str, dict[str, Any]]:
    """Straight lines to neighbours, arcs below for what skips ahead."""

    def ends(edges: NDArray[np.int64]) -> dict[str, Any]:
        start, end = edges
        return {"x0": layout.x[start], "y0": layout.y[start], "x1": layout.x[end], "y1": layout.y[end]}

    arcs = ends(layout.arcs)
    depth = np.minimum(1.9, 0.25 * (arcs["x1"] - arcs["x0"]))
    return {
        "near": ends(layout.near),
        "arcs": {**arcs, "cx": (arcs["x0"] + arcs["x1"]) / 2, "cy": arcs["y0"] - depth},
    }
