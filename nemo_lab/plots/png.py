"""Front and bit-widths as a PNG: what remains of the figures where no script runs.

Places that show saved notebooks differ in what they let through: GitHub and untrusted notebooks drop inline
SVG, styles and scripts. An image of pixels is the one form that all of them keep.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from nemo_lab.plots import style
from nemo_lab.plots.info import FrontInfo

WIDTH, HEIGHT, STRIP = 860, 280, 96  # of the whole, of the projections, of the strip below; CSS pixels
SCALE = 2  # image pixels to a CSS pixel
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 12, 40  # around a projection
MOST_DOTS = 600  # of what is not on the front
INK, FAINT, PAPER, REST = "#1a1a1a", "#5f5f5f", "#ffffff", "#c4c4c4"
SIDES = {"square": (4, 0), "diamond": (4, 45), "triangle": (3, 0), "inverted_triangle": (3, 180),
         "hex": (6, 0), "star": (5, 0)}  # fmt: skip


@dataclass(frozen=True)
class _Frame:
    """Where a projection is, in image pixels, and what it spans."""

    left: int
    right: int
    top: int
    bottom: int
    x: tuple[float, float]
    y: tuple[float, float]

    def place(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return self.left + across * (self.right - self.left), self.bottom - up * (self.bottom - self.top)


def front_png(
    info: FrontInfo,
    config: int | None = None,
    bits: NDArray[np.uint8] | None = None,
    widths: Sequence[int] = (),
) -> bytes:
    """Both projections of the front, and the bits strip of a configuration below, as PNG.

    Args:
        info: of a snapshot with at least one evaluation.
        config: the configuration to ring.
        bits: uint8[Q] of it.
        widths: all bit-widths that there are.
    """
    height = HEIGHT + (STRIP if bits is not None else 0)
    image = Image.new("RGB", (WIDTH * SCALE, height * SCALE), PAPER)
    draw = ImageDraw.Draw(image)
    for place in (1, 2):
        _projection(draw, info, place, config)
    if bits is not None:
        _strip(draw, bits, widths, config)
    buffer = io.BytesIO()
    image.quantize(128, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _projection(draw: ImageDraw.ImageDraw, info: FrontInfo, place: int, config: int | None) -> None:
    x, y = info.values[:, place], info.values[:, 0]
    begin = (place - 1) * WIDTH // 2
    frame = _Frame(
        (begin + LEFT) * SCALE,
        (begin + WIDTH // 2 - RIGHT) * SCALE,
        TOP * SCALE,
        (HEIGHT - BOTTOM) * SCALE,
        _range(x),
        _range(y),
    )
    corners = [(frame.left, frame.top), (frame.left, frame.bottom), (frame.right, frame.bottom)]
    draw.line(corners, fill=FAINT, width=SCALE)
    rest = np.flatnonzero(~info.on_front)
    for i in rest[:: max(1, len(rest) // MOST_DOTS)]:
        _dot(draw, frame.place(x[i], y[i]), 2 * SCALE, "circle", REST, None)
    for i in np.flatnonzero(info.on_front):
        owner = int(info.species[i])
        where = frame.place(x[i], y[i])
        _dot(draw, where, 5 * SCALE, style.species_marker(owner), style.species_color(owner), INK)
    if config is not None and config < len(x):
        across, down = frame.place(x[config], y[config])
        r = 9 * SCALE
        ring = (across - r, down - r, across + r, down + r)
        draw.ellipse(ring, outline=style.SELECTION_COLOR, width=3 * SCALE)
    small, normal = _font(11), _font(12)
    middle = (frame.left + frame.right) // 2
    draw.text((middle, (HEIGHT - 6) * SCALE), info.axes[place].axis, INK, normal, "ms")
    for value in (x.min(), x.max()):
        across, _ = frame.place(value, frame.y[0])
        text = info.axes[place].brief(value)
        draw.text((across, frame.bottom + 4 * SCALE), text, FAINT, small, "mt")
    for value in (y.min(), y.max()):
        _, down = frame.place(frame.x[0], value)
        draw.text((frame.left - 5 * SCALE, down), info.axes[0].brief(value), FAINT, small, "rm")
    draw.text((frame.left + 6 * SCALE, frame.top), info.axes[0].axis, INK, normal, "lt")


def _strip(draw: ImageDraw.ImageDraw, bits: NDArray[np.uint8], widths: Sequence[int], config: object) -> None:
    colors = style.width_colors(widths)
    left, right = LEFT * SCALE, (WIDTH - RIGHT) * SCALE
    top, bottom = (HEIGHT + 26) * SCALE, (HEIGHT + STRIP - 6) * SCALE
    small = _font(11)
    words = f"bits of each of the {len(bits)} nodes, configuration {config}"
    draw.text((left, (HEIGHT + 8) * SCALE), words, INK, _font(12), "lt")
    step = (right - left) / len(bits)
    for node, width in enumerate(bits.tolist()):
        color = colors.get(width, style.MUTED)
        start, end = left + node * step, left + (node + 1) * step - (SCALE if step > 3 * SCALE else 0)
        high = bottom - (bottom - top) * width / max(widths)
        draw.rectangle((start, high, max(end, start), bottom), fill=color)
        if step >= 12 * SCALE and bottom - high >= 13 * SCALE:
            where = ((start + end) / 2, bottom - 3 * SCALE)
            draw.text(where, str(width), style.text_on(color), small, "ms")


def _dot(
    draw: ImageDraw.ImageDraw,
    where: tuple[float, float],
    radius: float,
    marker: str,
    color: str,
    line: str | None,
) -> None:
    x, y = where
    if marker == "plus":
        for across, up in ((radius, radius / 3), (radius / 3, radius)):
            draw.rectangle((x - across, y - up, x + across, y + up), fill=color)
    elif marker in SIDES:
        sides, turned = SIDES[marker]
        draw.regular_polygon((*where, radius * 1.2), sides, turned, fill=color, outline=line)
    else:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color, outline=line)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size * SCALE)


def _range(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = 0.04 * (high - low) or 0.5
    return low - margin, high + margin
