"""The data of the graph panel: what it draws of a configuration, folded or open, near or far."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.plots import style
from nemo_lab.plots.figure import Columns
from nemo_lab.plots.graph_blocks import block_columns, folded_columns, stage_columns
from nemo_lab.plots.graph_colors import node_colors
from nemo_lab.plots.graph_layout import GraphLayout, graph_layout
from nemo_lab.plots.info import GraphInfo
from nemo_lab.search.constraints import Pins, width_text

Floats = NDArray[np.float64]
SIZES = {
    "parameters and MACs": ("params", "macs"),
    "parameters": ("params", "params"),
    "MACs": ("macs", "macs"),
}


def graph_columns(
    info: GraphInfo,
    bits: NDArray[np.uint8] | None,
    widths: Sequence[int],
    pins: Pins,
    layout: GraphLayout | None = None,
    *,
    measured: Floats | None = None,
    known: Sequence[str] | None = None,
    size: str = "parameters and MACs",
    selected: Collection[int] = (),
    found: Collection[int] = (),
    seen: tuple[float, float] | None = None,
    pixels: int = 900,
) -> Columns:
    """The data of the graph panel.

    Args:
        info: of the problem.
        bits: uint8[Q] of the configuration shown; grey nodes without one.
        widths: the allowed bit-widths.
        pins: node -> width, or (lowest, highest).
        layout: where everything stands; nothing folded by default.
        measured: float[Q] to colour by, grey where NaN; bit-widths by default.
        known: text[Q] of what is measured of each node.
        size: of ``SIZES``, what the size of a node shows.
        selected: nodes; folded blocks with one of them are framed.
        found: nodes to ring.
        seen: what part of the layout is seen, everything by default.
        pixels: how wide it is seen: what has no room for numbers and headings goes without.
    """
    count = len(info.names)
    layout = graph_layout(info) if layout is None else layout
    seen = (-1.0, layout.width) if seen is None else seen
    room = pixels / max(seen[1] - seen[0], 1.0)
    fill = node_colors(bits, widths, measured, count)
    hidden = layout.folded[layout.block]
    weight = np.array([kind == "weight" for kind in info.kinds])
    said = ["-"] * count if bits is None else [str(int(b)) for b in bits]
    held = np.array(sorted(pins), dtype=np.int64)
    ringed = np.array(sorted(found), dtype=np.int64)
    rings = np.unique(np.stack([layout.x[ringed], layout.y[ringed]]), axis=1)
    return {
        **_edge_columns(layout),
        "blocks": block_columns(layout, seen, room),
        "stages": stage_columns(info, layout, seen, room),
        "folded": folded_columns(layout, bits, widths, measured, pins, room),
        "framed": {"x": np.unique(layout.x[[n for n in selected if hidden[n]]])},
        "found": {"x": rings[0], "y": rings[1]},
        "nodes": {
            "key": np.arange(count, dtype=np.int32),
            "x": np.where(hidden, np.nan, layout.x),
            "y": layout.y,
            "size": _sizes(info, weight, size) * min(1.0, room / 14),
            "marker": ["square" if is_weight else "circle" for is_weight in weight],
            "color": fill,
            "text": [""] * count if bits is None or room < 9 else said,
            "ink": [style.text_on(color) for color in fill],
            "name": list(info.names),
            "kind": list(info.kinds),
            "op": list(info.ops),
            "shape": list(info.shapes),
            "params": info.params,
            "macs": info.macs,
            "bits": said,
            "pinned": [width_text(pins[node]) if node in pins else "-" for node in range(count)],
            "measured": ["-"] * count if known is None else list(known),
        },
        "pins": {"x": layout.x[held], "y": layout.y[held] + np.where(hidden[held], 0.55, 0.38)},
    }


def _sizes(info: GraphInfo, weight: NDArray[np.bool_], size: str) -> Floats:
    """Diameters of 16 to 27 pixels, by the square root; weights and activations each up to the largest."""
    of_weight, of_activation = SIZES[size]
    magnitude = np.where(weight, getattr(info, of_weight), getattr(info, of_activation))
    scale = np.sqrt(magnitude / max(float(magnitude.max()), 1.0))
    if size == "parameters and MACs":
        for lane in (weight, ~weight):
            if lane.any():
                scale[lane] /= max(float(scale[lane].max()), 1e-9)
    return np.asarray(16.0 + 11.0 * scale)


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
