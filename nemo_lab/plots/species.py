"""The species panel: who holds the population, how good each is, and what each has found."""

from __future__ import annotations

from collections.abc import Sequence

from bokeh.layouts import row

from nemo_lab.plots import style
from nemo_lab.plots.figure import Columns, Plot, plain_figure, source
from nemo_lab.plots.info import SpeciesInfo

DASHES = ("solid", "dashed", "dotted", "dashdot", "dotdash")


def species_plot(species: Sequence[str]) -> Plot:
    """An empty species panel; ``species_columns`` fills it."""
    keys = [f"s{position}" for position in range(len(species))]
    columns = [f"{field}_{key}" for field in ("allocation", "r2", "share", "made") for key in keys]
    history = source("history", "x", *columns)
    colors = [style.species_color(position) for position in range(len(species))]
    options = {"height": 200, "min_width": 185, "tools": "", "x_axis_label": "evaluations"}

    allocation = plain_figure(title="population slots", **options)
    allocation.varea_stack(
        [f"allocation_{key}" for key in keys], x="x", source=history, color=colors, alpha=0.85
    )
    r2 = plain_figure(title="R2, lower is better", **options)
    share = plain_figure(title="share of the front", **options)
    made = plain_figure(title="evaluations made", **options)
    for position, (key, color) in enumerate(zip(keys, colors, strict=True)):
        line = {"line_color": color, "line_width": 2.5, "line_dash": DASHES[position % len(DASHES)]}
        r2.line("x", f"r2_{key}", source=history, **line)
        share.line("x", f"share_{key}", source=history, **line)
        made.line("x", f"made_{key}", source=history, **line)
    share.y_range.start, share.y_range.end = 0, 1
    layout = row(allocation, r2, share, made, sizing_mode="stretch_width", styles={"flex-wrap": "wrap"})
    label = "Population slots, R2 utility, share of the front and evaluations of every species"
    return Plot(layout, {"history": history}, label)


def species_columns(info: SpeciesInfo) -> Columns:
    """The data of the species panel."""
    data: dict[str, object] = {"x": info.evaluations}
    for position in range(len(info.names)):
        data[f"allocation_s{position}"] = info.allocation[:, position]
        data[f"r2_s{position}"] = info.r2[:, position]
        data[f"share_s{position}"] = info.front_share[:, position]
        data[f"made_s{position}"] = info.made[:, position]
    return {"history": data}
