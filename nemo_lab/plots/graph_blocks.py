"""The blocks and stages of the graph panel: their headings, and a box for each that is folded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.plots import style
from nemo_lab.plots.graph_colors import node_colors, scale_colors, scale_ends
from nemo_lab.plots.graph_layout import FOLDED_WIDTH, GraphLayout
from nemo_lab.plots.info import GraphInfo
from nemo_lab.search.constraints import Pins

Floats = NDArray[np.float64]
LETTER = 6.4  # pixels of a letter of a heading
NUMBER = 26.0  # pixels of the mean bits of a folded block


def _headings(labels: Sequence[str], places: Floats) -> tuple[list[str], bool]:
    """What fits in the pixels, and whether it takes two lines: shortened from the front, or left out."""

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


def block_columns(layout: GraphLayout, seen: tuple[float, float], room: float) -> dict[str, Any]:
    """A heading and a shaded stretch for every part of the layout.

    Args:
        layout: where everything stands.
        seen: what part of it is seen.
        room: pixels to a unit of the layout.
    """
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
            f"{label}: {last - first + 1} nodes; click to {'expand' if layout.folded[place] else 'collapse'}"
            for place, (label, first, last) in enumerate(layout.parts)
        ],
    }


def stage_columns(
    info: GraphInfo, layout: GraphLayout, seen: tuple[float, float], room: float
) -> dict[str, Any]:
    """A heading over the blocks of each stage, which folds them into one and opens them again."""
    left, right = layout.stages
    x, visible = _middles(left, right, seen)
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
            f"{label}: {last - first + 1} blocks; click to {'expand' if folded else 'collapse'}"
            for (label, first, last), folded in zip(info.stages, layout.folded_stages, strict=True)
        ],
    }


def folded_columns(
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
        colors = scale_colors(mean, low, high)
    else:
        near = [0] * len(shut) if bits is None else [round(mean) for mean in means]
        colors = node_colors(np.array(near), widths, None, len(shut))
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
            f"{held} pinned; click to expand"
            for part, nodes, mean, held in zip(shut, counts, means, pinned, strict=True)
        ],
    }
