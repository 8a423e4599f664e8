"""The bits strip: the bit-width of every node of one configuration as bars."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from bokeh.models import FixedTicker, HoverTool, Range1d
from numpy.typing import NDArray

from nemo_lab.plots import style
from nemo_lab.plots.figure import Columns, Plot, plain_figure, source


def bits_plot(names: Sequence[str], widths: Sequence[int]) -> Plot:
    """An empty strip; ``bits_columns`` fills it."""
    bars = source("bars", "x", "bits", "color", "name")
    p = plain_figure(
        height=130,
        tools="",
        x_range=Range1d(-1, len(names)),
        y_range=Range1d(0, max(widths) + 0.5),
        y_axis_label="bits",
    )
    p.xaxis.visible = False
    p.xgrid.visible = False
    p.yaxis.ticker = FixedTicker(ticks=[float(width) for width in widths if width % 2 == 0])
    drawn = p.vbar("x", 0.8, "bits", source=bars, fill_color="color", line_color=None)
    p.add_tools(HoverTool(renderers=[drawn], tooltips=[("node", "@name"), ("bits", "@bits")]))
    return Plot(p, {"bars": bars}, "Bit-width of every node of the selected configuration")


def bits_columns(bits: NDArray[np.uint8] | None, names: Sequence[str], widths: Sequence[int]) -> Columns:
    """The data of the strip; empty without a configuration."""
    shown = np.zeros(0, dtype=np.uint8) if bits is None else bits
    colors = style.width_colors(widths)
    return {
        "bars": {
            "x": np.arange(len(shown), dtype=np.float64),
            "bits": shown.astype(np.int32),
            "color": [colors.get(int(b), style.MUTED) for b in shown],
            "name": list(names[: len(shown)]),
        }
    }
