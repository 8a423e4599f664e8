"""Colours and markers: safe for colour-blind readers, told apart by shape as well.

Ink (text, axes, outlines) is not set here: live views take it from JupyterLab's theme.
"""

from __future__ import annotations

from collections.abc import Sequence

from bokeh.palettes import Viridis256

# Okabe and Ito's colours, in the order in which species get them
SPECIES_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
# the same shapes as text, for legends
MARKER_SIGNS = {
    "circle": "\u25cf",
    "square": "\u25a0",
    "triangle": "\u25b2",
    "diamond": "\u25c6",
    "inverted_triangle": "\u25bc",
    "hex": "\u2b22",
    "star": "\u2605",
    "plus": "\u271a",
}
SPECIES_MARKERS = ("circle", "square", "triangle", "diamond", "inverted_triangle", "hex", "star")
HAND_COLOR, HAND_MARKER = "#8a8a8a", "plus"
PIN_COLOR = "#D55E00"
SELECTION_COLOR = "#2f9bff"
MUTED = "#8a8a8a"
INK = "ink"  # tag of models whose text and lines take the theme's ink
FAINT = "faint"  # the same, for what should stay in the background


def species_color(position: int) -> str:
    """Colour of a species by its position, -1 for hand-made configurations."""
    return HAND_COLOR if position < 0 else SPECIES_COLORS[position % len(SPECIES_COLORS)]


def species_marker(position: int) -> str:
    """Marker of a species by its position, -1 for hand-made configurations."""
    return HAND_MARKER if position < 0 else SPECIES_MARKERS[position % len(SPECIES_MARKERS)]


def width_colors(widths: Sequence[int]) -> dict[int, str]:
    """A colour for every bit-width, dark for narrow to bright for wide."""
    last = max(len(widths) - 1, 1)
    return {width: Viridis256[round(20 + 225 * rank / last)] for rank, width in enumerate(widths)}


def text_on(color: str) -> str:
    """Black or white, whichever reads better on a hex colour."""
    shares = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    # above this relative luminance (WCAG 2) black has the higher contrast
    return "#000000" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else "#ffffff"
