"""Colours of the network's nodes: by bit-width, or by a measured value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from bokeh.palettes import Cividis256
from numpy.typing import NDArray

from nemo_lab.plots import style

Floats = NDArray[np.float64]


def scale_ends(measured: Floats) -> tuple[float, float]:
    """Lowest and highest of what is known and finite, 0 and 0 if nothing is."""
    finite = measured[np.isfinite(measured)]
    return (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)


def node_colors(
    bits: NDArray[Any] | None, widths: Sequence[int], measured: Floats | None, count: int
) -> list[str]:
    """A colour for each of so many nodes: by what is measured, else by bit-width, else grey."""
    if measured is not None:
        return scale_colors(measured, *scale_ends(measured))
    if bits is None:
        return [style.MUTED] * count
    colors = style.width_colors(widths)
    return [colors.get(int(b), style.MUTED) for b in bits]


def scale_colors(values: Floats, low: float, high: float) -> list[str]:
    """Dark for the lowest to bright for the highest; grey for what is not known."""
    ranks = (np.clip(values, low, high) - low) / (high - low if high > low else 1.0)
    return [style.MUTED if np.isnan(rank) else Cividis256[round(255 * rank)] for rank in ranks]
