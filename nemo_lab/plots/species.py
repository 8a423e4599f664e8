"""The species panel: who holds the population, how good each is, and how far the front has come."""

from __future__ import annotations

from collections.abc import Sequence

from bokeh.layouts import row
from bokeh.models import Legend, LegendItem

from nemo_lab.plots import style
from nemo_lab.plots.figure import Columns, Plot, plain_figure, source
from nemo_lab.plots.info import SpeciesInfo

DASHES = ("solid", "dashed", "dotted", "dashdot", "dotdash")


def species_plot(species: Sequence[str]) -> Plot:
    """An empty species panel; ``species_columns`` fills it."""
    keys = [f"s{position}" for position in range(len(species))]
    columns = [f"{field}_{key}" for field in ("allocation", "r2", "share") for key in keys]
    history = source("history", "x", "hypervolume", *columns)
    colors = [style.species_color(position) for position in range(len(species))]
    options = {"height": 220, "min_width": 240, "tools": "", "x_axis_label": "evaluations"}

    allocation = plain_figure(title="population slots", **options)
    areas = allocation.varea_stack(
        [f"allocation_{key}" for key in keys], x="x", source=history, color=colors, alpha=0.85
    )
    r2 = plain_figure(title="R2 utility, lower is better", **options)
    share = plain_figure(title="share of the front", **options)
    for position, (key, color) in enumerate(zip(keys, colors, strict=True)):
        line = {"line_color": color, "line_width": 2.5, "line_dash": DASHES[position % len(DASHES)]}
        r2.line("x", f"r2_{key}", source=history, **line)
        share.line("x", f"share_{key}", source=history, **line)
    share.y_range.start, share.y_range.end = 0, 1
    hypervolume = plain_figure(title="hypervolume of the front", **options)
    hypervolume.line("x", "hypervolume", source=history, line_width=2.5, line_color=style.SELECTION_COLOR)
    legend = Legend(
        items=[LegendItem(label=name, renderers=[area]) for name, area in zip(species, areas, strict=True)],
        orientation="horizontal",
        border_line_color=None,
        background_fill_color=None,
        padding=0,
        margin=2,
        spacing=8,
        label_standoff=3,
        glyph_width=12,
        glyph_height=12,
        label_text_font_size="11px",
    )
    allocation.add_layout(legend, "below")
    layout = row(
        allocation, r2, share, hypervolume, sizing_mode="stretch_width", styles={"flex-wrap": "wrap"}
    )
    label = "Population slots, R2 utility and share of the front of every species, and the hypervolume"
    return Plot(layout, {"history": history}, label)


def species_columns(info: SpeciesInfo) -> Columns:
    """The data of the species panel."""
    data: dict[str, object] = {"x": info.evaluations, "hypervolume": info.hypervolume}
    for position in range(len(info.names)):
        data[f"allocation_s{position}"] = info.allocation[:, position]
        data[f"r2_s{position}"] = info.r2[:, position]
        data[f"share_s{position}"] = info.front_share[:, position]
    return {"history": data}
