"""The data of the graph panel: what it draws of a configuration, folded or open, near or far."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from bokeh.palettes import Cividis256
from numpy.typing import NDArray

from nemo_lab.plots import style
from nemo_lab.plots.figure import Columns
from nemo_lab.plots.graph_layout import FOLDED_WIDTH, GraphLayout, graph_layout
from nemo_lab.plots.info import GraphInfo
from nemo_lab.search.constraints import Pins, width_text

Floats = NDArray[np.float64]
SIZES = {
    "parameters and MACs": ("params", "macs"),
    "parameters": ("params", "params"),
    "MACs": ("macs", "macs"),
}
LETTER = 6.4  # pixels of a letter of a heading
NUMBER = 26.0  # pixels of the mean bits of a folded block


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
    fill = _colors(bits, widths, measured, count)
    hidden = layout.folded[layout.block]
    weight = np.array([kind == "weight" for kind in info.kinds])
    said = ["-"] * count if bits is None else [str(int(b)) for b in bits]
    held = np.array(sorted(pins), dtype=np.int64)
    ringed = np.array(sorted(found), dtype=np.int64)
    rings = np.unique(np.stack([layout.x[ringed], layout.y[ringed]]), axis=1)
    return {
        **_edge_columns(layout),
        "blocks": _block_columns(layout, seen, room),
        "stages": _stage_columns(info, layout, seen, room),
        "folded": _folded_columns(layout, bits, widths, measured, pins, room),
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


def scale_ends(measured: Floats) -> tuple[float, float]:
    """Lowest and highest of what is known and finite, 0 and 0 if nothing is."""
    finite = measured[np.isfinite(measured)]
    return (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)


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


def _colors(
    bits: NDArray[Any] | None, widths: Sequence[int], measured: Floats | None, count: int
) -> list[str]:
    if measured is not None:
        return _scale_colors(measured, *scale_ends(measured))
    if bits is None:
        return [style.MUTED] * count
    colors = style.width_colors(widths)
    return [colors.get(int(b), style.MUTED) for b in bits]


def _scale_colors(values: Floats, low: float, high: float) -> list[str]:
    """Dark for the lowest to bright for the highest; grey for what is not known."""
    ranks = (np.clip(values, low, high) - low) / (high - low if high > low else 1.0)
    return [style.MUTED if np.isnan(rank) else Cividis256[round(255 * rank)] for rank in ranks]


def _headings(labels: Sequence[str], places: Floats) -> tuple[list[str], bool]:
    """What fits in so many pixels, and whether it takes two lines: shortened from the front, or left out."""

    def fitting(label: str, pixels: float) -> str:
        letters = int(pixels / LETTER)
        if len(label) <= letters:
            return label
        tail = label
        while "." in tail and len(tail) > letters:
            tail = tail.partition(".")[2]
        return tail if len(tail) <= letters else ""

    two_lines = any(len(label) * LETTER > pixels for label, pixels in zip(labels, places, strict=True))
    # two lines: the neighbours on the same line are two parts away
    before, after = np.roll(places, 1), np.roll(places, -1)
    before[:1], after[-1:] = 0.4 * places[:1], 0.4 * places[-1:]  # the margin
    wider = places + np.minimum(np.minimum(before, after) if len(places) > 2 else 0, places)
    usable = wider if two_lines else places
    return [fitting(label, pixels) for label, pixels in zip(labels, usable, strict=True)], two_lines


def _middles(left: Floats, right: Floats, seen: tuple[float, float]) -> tuple[Floats, Floats]:
    """Where headings stand, in the middle of what is seen, and how much of them is seen."""
    near, far = np.maximum(left, seen[0]), np.minimum(right, seen[1])
    visible = far > near
    return np.where(visible, (near + far) / 2, (left + right) / 2), np.where(
        visible, far - near, right - left
    )


def _block_columns(layout: GraphLayout, seen: tuple[float, float], room: float) -> dict[str, Any]:
    x, places_seen = _middles(layout.left, layout.right, seen)
    labels, two_lines = _headings([part[0] for part in layout.parts], places_seen * room)
    places = range(len(labels))
    return {
        "key": layout.keys.astype(np.int32),
        "left": layout.left,
        "right": layout.right,
        "x": x,
        "label": labels,
        "height": np.array([1.86 if two_lines and place % 2 else 1.6 for place in places]),
        "shade": np.array([0.10 if place % 2 == 0 else 0.03 for place in places]),
        "tip": [
            f"{label}: {last - first + 1} nodes; tap to {'open' if layout.folded[place] else 'fold'}"
            for place, (label, first, last) in enumerate(layout.parts)
        ],
    }


def _stage_columns(
    info: GraphInfo, layout: GraphLayout, seen: tuple[float, float], room: float
) -> dict[str, Any]:
    """A heading over the blocks of each stage, which folds them into one and opens them again."""
    left, right = layout.stages
    x, visible = _middles(left, right, seen)
    shut = np.isclose(right - left, FOLDED_WIDTH)
    return {
        "key": np.arange(len(info.stages), dtype=np.int32),
        "left": left + 0.1,
        "right": right - 0.1,
        "x": x,
        "label": [
            label if len(label) * LETTER <= pixels else ""
            for (label, _, _), pixels in zip(info.stages, visible * room, strict=True)
        ],
        "tip": [
            f"{label}: {last - first + 1} blocks; tap to {'open' if shut[stage] else 'fold'} the stage"
            for stage, (label, first, last) in enumerate(info.stages)
        ],
    }


def _folded_columns(
    layout: GraphLayout,
    bits: NDArray[np.uint8] | None,
    widths: Sequence[int],
    measured: Floats | None,
    pins: Pins,
    room: float,
) -> dict[str, Any]:
    """A box for every folded block: its mean bits, coloured by the mean of what colours its nodes."""
    shut = np.flatnonzero(layout.folded)
    held = np.zeros(len(layout.x), dtype=np.int64)
    held[list(pins)] = 1
    pinned = np.bincount(layout.block, held, len(layout.parts))[shut].astype(int)
    counts = np.bincount(layout.block, minlength=len(layout.parts))[shut]
    means = np.full(len(shut), np.nan)
    if bits is not None:
        means = np.bincount(layout.block, bits, len(layout.parts))[shut] / counts
    if measured is not None:
        low, high = scale_ends(measured)
        known = ~np.isnan(measured)
        total = np.where(known, np.clip(measured, low, high), 0)
        sums, knowing = (np.bincount(layout.block, one, len(layout.parts))[shut] for one in (total, known))
        mean = np.where(knowing > 0, sums / np.maximum(knowing, 1), np.nan)
        colors = _scale_colors(mean, low, high)
    else:
        near = [0] * len(shut) if bits is None else [round(mean) for mean in means]
        colors = _colors(np.array(near), widths, None, len(shut))
    return {
        "key": layout.keys[shut].astype(np.int32),
        "x": ((layout.left + layout.right) / 2)[shut],
        "y": np.full(len(shut), 0.5),
        "color": colors,
        "text": ["" if np.isnan(mean) or FOLDED_WIDTH * room < NUMBER else f"{mean:.1f}" for mean in means],
        "ink": [style.text_on(color) for color in colors],
        "pinned": [
            f"{held} pinned" if held and FOLDED_WIDTH * room > 8 * LETTER else "" for held in pinned.tolist()
        ],
        "tip": [
            f"{layout.parts[part][0]}: {nodes} nodes, mean bits {'-' if np.isnan(mean) else f'{mean:.2f}'}, "
            f"{held} pinned; tap to open"
            for part, nodes, mean, held in zip(shut, counts, means, pinned, strict=True)
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
