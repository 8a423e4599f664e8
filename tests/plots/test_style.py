"""Colours, markers and words: told apart and readable."""

from __future__ import annotations

import numpy as np
import pytest

from nemo_lab.plots import Coded
from nemo_lab.plots.style import (
    MARKER_SIGNS,
    MUTED,
    SPECIES_COLORS,
    species_color,
    species_marker,
    text_on,
    width_colors,
)

WIDTHS = [(2, 3, 4, 5, 6, 7, 8), (8,), (2, 4, 8, 16), tuple(range(2, 33))]


def luminance(color: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    shares = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("widths", WIDTHS)
def test_every_width_has_a_colour_of_its_own_from_dark_to_bright(widths: tuple[int, ...]) -> None:
    colors = width_colors(widths)
    assert tuple(colors) == widths
    assert len(set(colors.values())) == len(widths)
    brightness = [luminance(color) for color in colors.values()]
    assert brightness == sorted(brightness)


@pytest.mark.parametrize("widths", WIDTHS)
def test_numbers_on_nodes_are_readable(widths: tuple[int, ...]) -> None:
    for color in [*width_colors(widths).values(), MUTED]:
        assert contrast(text_on(color), color) >= 4.5, color  # WCAG 2, AA


def test_species_differ_in_colour_and_in_marker() -> None:
    positions = [*range(len(SPECIES_COLORS)), -1]
    assert len({species_color(position) for position in positions}) == len(positions)
    markers = {species_marker(position) for position in positions}
    assert len(markers) == len(positions)
    assert len({MARKER_SIGNS[marker] for marker in markers}) == len(positions)  # every legend has a sign


def test_more_species_than_colours_still_get_one() -> None:
    assert species_color(len(SPECIES_COLORS)) == species_color(0)
    assert species_marker(50) in MARKER_SIGNS


def test_coded_text_expands_to_the_text() -> None:
    coded = Coded(np.array([2, 0, 0, 1], dtype=np.uint8), ("gcn", "unet", "no species"))
    assert coded.expand() == ["no species", "gcn", "gcn", "unet"]
    assert Coded(np.zeros(0, dtype=np.uint8), ("gcn",)).expand() == []
