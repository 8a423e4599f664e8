"""Hypervolume over evaluations, with every intervention where it took effect."""

from __future__ import annotations

import numpy as np
from bokeh.models import DataRange1d, HoverTool

from nemo_lab.plots import style
from nemo_lab.plots.figure import Columns, Plot, plain_figure, source
from nemo_lab.plots.info import SpeciesInfo


def hypervolume_plot() -> Plot:
    """An empty figure; ``hypervolume_columns`` fills it."""
    sources = {
        "hypervolume": source("hypervolume", "x", "hypervolume"),
        "steers": source("steers", "x", "y", "text"),
        "moment": source("moment", "x", "low", "high"),
    }
    p = plain_figure(
        height=150,
        min_width=290,
        tools="",
        x_axis_label="evaluations",
        y_axis_label="hypervolume",
        y_range=DataRange1d(start=0),
    )
    p.line(
        "x", "hypervolume", source=sources["hypervolume"], line_width=2.5, line_color=style.SELECTION_COLOR
    )
    steers = p.scatter(
        "x", "y", source=sources["steers"], marker="inverted_triangle", size=10, fill_color=style.PIN_COLOR
    )
    steers.glyph.tags = [style.INK]
    p.segment("x", "low", "x", "high", source=sources["moment"], line_width=2).glyph.tags = [style.INK]
    p.add_tools(HoverTool(renderers=[steers], tooltips=[("after", "@x"), ("steering", "@text")]))
    return Plot(p, sources, "Hypervolume over evaluations, with every intervention")


def hypervolume_columns(info: SpeciesInfo, moment: int | None = None) -> Columns:
    """The data of the hypervolume figure.

    Args:
        info: of the whole run so far.
        moment: evaluations at which the dashboard looks, None for now.
    """
    at = np.array([] if moment is None else [moment], dtype=np.float64)
    top = float(info.hypervolume.max())
    return {
        "hypervolume": {"x": info.evaluations, "hypervolume": info.hypervolume},
        "steers": {
            "x": info.steers,
            "y": np.interp(info.steers, info.evaluations, info.hypervolume),
            "text": list(info.said),
        },
        "moment": {"x": at, "low": np.zeros_like(at), "high": np.full_like(at, top)},
    }
