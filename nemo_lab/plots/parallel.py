"""Parallel coordinates of the front: an upright axis for every objective, a line for every member."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from bokeh.models import FixedTicker, HoverTool, LinearColorMapper, Range1d, TapTool
from bokeh.palettes import Viridis256
from bokeh.transform import transform

from nemo_lab.plots import style
from nemo_lab.plots.figure import Columns, Plot, plain_figure, source
from nemo_lab.plots.front_info import FrontInfo
from nemo_lab.search.objective import Objective


def parallel_plot(axes: Sequence[Objective]) -> Plot:
    """Empty axes of the objectives that vary; ``parallel_columns`` fills them."""
    places = range(len(axes))
    sources = {
        "lines": source("lines", "key", "x0", "y0", "x1", "y1", "color"),
        "ends": source("ends", "x", "y", "text", "offset"),
        "chosen": source("chosen", "x", "y"),
    }
    p = plain_figure(
        height=320,
        tools="",
        x_range=Range1d(-0.4, len(axes) - 0.6),
        y_range=Range1d(-0.12, 1.12),
    )
    p.yaxis.visible = False
    p.ygrid.visible = False
    p.xaxis.ticker = FixedTicker(ticks=list(places))
    p.xaxis.major_label_overrides = {place: one.axis for place, one in enumerate(axes)}
    p.segment(list(places), 0, list(places), 1, line_width=1.5).glyph.tags = [style.INK]
    mapper = LinearColorMapper(Viridis256, low=0, high=1)
    lines = p.segment(
        "x0", "y0", "x1", "y1", source=sources["lines"], line_width=2, line_color=transform("color", mapper)
    )
    lines.nonselection_glyph = lines.selection_glyph = None
    p.line("x", "y", source=sources["chosen"], line_width=5, line_color=style.SELECTION_COLOR)
    p.text(
        "x", "y", "text", source=sources["ends"], text_font_size="11px", x_offset=6, y_offset="offset",
        text_baseline="middle",
    ).glyph.tags = [style.INK]  # fmt: skip
    p.add_tools(HoverTool(renderers=[lines], tooltips=[("config", "@key")]), TapTool(renderers=[lines]))
    return Plot(p, sources, "Parallel coordinates: every objective of the members of the front")


def parallel_columns(info: FrontInfo, chosen: int | None) -> Columns:
    """The data of the parallel coordinates; every axis reaches over the front.

    Args:
        info: of a snapshot.
        chosen: config id to stress.
    """
    values = np.stack([shown for _, shown in info.objectives], axis=1)
    low = values.min(axis=0, initial=np.inf) if len(values) else np.zeros(values.shape[1])
    high = values.max(axis=0, initial=-np.inf) if len(values) else np.ones(values.shape[1])
    scaled = (values - low) / np.where(high > low, high - low, 1.0)
    axes = np.arange(values.shape[1])
    start, end = axes[:-1], axes[1:]
    count, called = len(values), [one for one, _ in info.objectives]
    one = scaled[np.flatnonzero(info.front_ids == chosen)] if chosen is not None else scaled[:0]
    return {
        "lines": {
            "key": np.repeat(info.front_ids, len(start)).astype(np.int32),
            "x0": np.tile(start, count).astype(np.float64),
            "x1": np.tile(end, count).astype(np.float64),
            "y0": scaled[:, start].ravel(),
            "y1": scaled[:, end].ravel(),
            "color": np.repeat(scaled[:, 0], len(start)),
        },
        "chosen": {"x": axes.astype(np.float64) if len(one) else np.zeros(0), "y": one.ravel()},
        "ends": {
            "x": np.concatenate([axes, axes]).astype(np.float64),
            "y": np.concatenate([np.zeros(len(axes)), np.ones(len(axes))]),
            "text": [one.brief(v) for end in (low, high) for one, v in zip(called, end, strict=True)]
            if count
            else [""] * (2 * len(axes)),
            "offset": np.repeat([8.0, -8.0], len(axes)),
        },
    }
