"""The front panel: two projections of all evaluated configurations and of the front."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from bokeh.layouts import row
from bokeh.models import (
    ColorBar,
    HoverTool,
    LinearColorMapper,
    NumeralTickFormatter,
    TapTool,
)
from bokeh.palettes import Viridis256
from bokeh.transform import transform

from nemo_lab.plots import style
from nemo_lab.plots.figure import Coded, Columns, Plot, plain_figure, source
from nemo_lab.plots.info import FrontInfo
from nemo_lab.search import Problem
from nemo_lab.search.problem import bounds_of
from nemo_lab.study.frames import NO_SPECIES


def front_plot(problem: Problem, names: tuple[str, str, str]) -> Plot:
    """An empty front panel; ``front_columns`` fills it."""
    common = ("key", "y", "x1", "x2", "species", "generation")
    sources = {
        "evaluated": source("evaluated", *common, "alpha"),
        "front": source("front", *common, "marker"),
        "references": source("references", "y", "x1", "x2", "text"),
        "chosen": source("chosen", "y", "x1", "x2"),
    }
    figures = []
    low, high = bounds_of(problem)
    for place, (x, other) in enumerate((("x1", "x2"), ("x2", "x1")), start=1):
        name, color_name = names[place], names[3 - place]
        k = problem.objective_names.index(color_name)
        mapper = LinearColorMapper(Viridis256, low=float(low[k]), high=float(high[k]))
        p = plain_figure(
            height=330,
            min_width=340,
            tools="pan,wheel_zoom,box_zoom,reset",
            x_axis_label=style.objective_label(name),
            y_axis_label=style.objective_label(names[0]),
            active_drag=None,
            active_scroll=None,
        )
        evaluated = p.scatter(
            x, "y", source=sources["evaluated"], size=5, color=style.MUTED, alpha="alpha", line_color=None
        )
        references = p.scatter(
            x, "y", source=sources["references"], size=9, marker="x", line_width=2, line_color=style.MUTED
        )
        references.glyph.tags = [style.FAINT]
        labels = p.text(
            x,
            "y",
            "text",
            source=sources["references"],
            text_font_size="11px",
            text_align="center",
            y_offset=-7,
        )
        labels.glyph.tags = [style.INK]
        front = p.scatter(
            x,
            "y",
            source=sources["front"],
            marker="marker",
            size=11,
            fill_color=transform(other, mapper),
            line_width=1,
        )
        front.glyph.tags = [style.INK]
        p.scatter(
            x,
            "y",
            source=sources["chosen"],
            size=20,
            fill_color=None,
            line_color=style.SELECTION_COLOR,
            line_width=3,
        )
        for renderer in (evaluated, front):
            renderer.nonselection_glyph = renderer.selection_glyph = None
        p.y_range.range_padding = 0.2  # room for the labels of the references
        if names[0] == "task_error":
            p.yaxis.formatter = NumeralTickFormatter(format="0 %")
        tooltip = [
            ("config", "@key"),
            (style.objective_label(names[0]), "@y{0.0000}"),
            (style.objective_label(names[1]), "@x1{0.0000}"),
            (style.objective_label(names[2]), "@x2{0.0000}"),
            ("species", "@species"),
            ("generation", "@generation"),
        ]
        p.add_tools(
            HoverTool(renderers=[front, evaluated], tooltips=tooltip), TapTool(renderers=[front, evaluated])
        )
        bar = ColorBar(
            color_mapper=mapper,
            title=style.objective_label(color_name).split(",")[0],
            width=8,
            padding=6,
            title_text_font_style="normal",
            background_fill_color=None,
        )
        p.add_layout(bar, "right")
        figures.append(p)
    figures[1].y_range = figures[0].y_range
    layout = row(*figures, sizing_mode="stretch_width", styles={"flex-wrap": "wrap"})
    label = (
        f"Pareto front: {style.objective_label(names[0])} over {style.objective_label(names[1])}, "
        f"and over {style.objective_label(names[2])}"
    )
    return Plot(layout, sources, label)


def front_columns(
    info: FrontInfo, chosen: int | None = None, references: Sequence[tuple[str, np.ndarray]] = ()
) -> Columns:
    """The data of the front panel.

    Args:
        info: of a snapshot.
        chosen: config id to ring.
        references: text and drawn values float[3] of points for orientation.
    """
    names = (*info.species_names, NO_SPECIES)
    position = np.where(info.species < 0, len(names) - 1, info.species).astype(np.uint8)

    def points(rows: np.ndarray) -> dict[str, object]:
        return {
            "key": info.config[rows].astype(np.int32),
            "y": info.values[rows, 0],
            "x1": info.values[rows, 1],
            "x2": info.values[rows, 2],
            "species": Coded(position[rows], names),
            "generation": info.generation[rows],
        }

    rest = np.flatnonzero(~info.on_front)
    best = np.flatnonzero(info.on_front)
    markers = tuple(style.species_marker(s) for s in (*range(len(info.species_names)), -1))
    drawn = np.array([values for _, values in references], dtype=np.float64).reshape(-1, 3)
    ring = info.values[[chosen] if chosen is not None and chosen < len(info.config) else []]
    return {
        "evaluated": {**points(rest), "alpha": np.where(info.feasible[rest], 0.45, 0.12)},
        "front": {**points(best), "marker": Coded(position[best], markers)},
        "references": {
            "y": drawn[:, 0],
            "x1": drawn[:, 1],
            "x2": drawn[:, 2],
            "text": [text for text, _ in references],
        },
        "chosen": {"y": ring[:, 0], "x1": ring[:, 1], "x2": ring[:, 2]},
    }
