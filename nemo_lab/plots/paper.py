"""The figures of arXiv 2106.07611, of a study as it is now: to be shown in a cell or kept as a page.

Each brings BokehJS with it, 1.3 MB, so that a notebook shows it without a network.
"""

from __future__ import annotations

import numpy as np
from bokeh.layouts import row
from bokeh.models import HoverTool, Legend, LegendItem, Range1d

from nemo_lab.arguments import Instance, Whole
from nemo_lab.plots import style
from nemo_lab.plots.figure import Plot, plain_figure, source
from nemo_lab.plots.front import front_plot
from nemo_lab.plots.front_columns import front_columns
from nemo_lab.plots.front_info import drawn_objectives, front_info
from nemo_lab.plots.info import species_info
from nemo_lab.plots.species import DASHES
from nemo_lab.study import Study

STUDY, MOST = Instance(Study, words="a study"), Whole(1)


def projections(study: Study) -> Plot:
    """The front in three projections, the third objective as colour, above all other evaluations.

    >>> from nemo_lab import create_study, plots
    >>> study = create_study("digits", population=8, min_size=2).optimize(16, progress=False)
    >>> plots.projections(study).label
    'Three views of the front and of all other evaluations'
    """
    study = STUDY.check("study", study)
    names = [one.name for one in study.species]
    found = front_info(study.snapshot, study.problem, names, study.validated, study.tuned)
    plot = front_plot(drawn_objectives(study.problem)).fill(front_columns(found))
    return Plot(plot.layout, plot.sources, "Three views of the front and of all other evaluations")


def heatmap(study: Study, most: int = 60) -> Plot:
    """Bit-widths of the members of the front, a row for each: the cheapest at the bottom.

    Args:
        study: with a front.
        most: rows, spread evenly over the front where it has more.

    Raises:
        ArgumentError: on anything else.
    """
    study, most = STUDY.check("study", study), MOST.check("most", most)
    snapshot, problem = study.snapshot, study.problem
    ids = np.asarray(snapshot.front, dtype=np.intp)
    cost = list(problem.objective_names).index(drawn_objectives(problem)[1].name)
    ids = ids[np.argsort(snapshot.evaluations.objectives[ids, cost], kind="stable")]
    if len(ids) > most:
        ids = ids[np.linspace(0, len(ids) - 1, most).round().astype(int)]
    colors, names = style.width_colors(problem.bit_widths), problem.node_names
    bits = snapshot.evaluations.bits[ids]
    cells = source("cells", "x", "y", "color", "bits", "node", "config")
    p = plain_figure(
        height=100 + 6 * max(len(ids), 20),
        tools="",
        x_range=Range1d(-0.5, problem.num_nodes - 0.5),
        y_range=Range1d(-0.5, max(len(ids), 1) - 0.5),
        x_axis_label="node, in execution order",
        y_axis_label=f"front, by {drawn_objectives(problem)[1].label}",
    )
    p.yaxis.major_label_text_color = p.yaxis.major_tick_line_color = None
    p.grid.visible = False
    drawn = p.rect("x", "y", 1, 1, source=cells, fill_color="color", line_color=None)
    tips = [("node", "@node"), ("bits", "@bits"), ("configuration", "@config")]
    p.add_tools(HoverTool(renderers=[drawn], tooltips=tips))
    patches = {width: p.rect([-9], [-9], 1, 1, fill_color=colors[width], line_color=None) for width in colors}
    items = [LegendItem(label=str(width), renderers=[patch]) for width, patch in patches.items()]
    p.add_layout(Legend(items=items, title="bits", border_line_color=None), "right")
    plot = Plot(p, {"cells": cells}, f"Bit-widths of {len(ids)} members of the front")
    height, nodes = bits.shape
    data = {
        "x": np.tile(np.arange(nodes), height),
        "y": np.repeat(np.arange(height), nodes),
        "color": [colors[int(width)] for width in bits.ravel()],
        "bits": bits.ravel(),
        "node": list(names) * height,
        "config": np.repeat(ids, nodes),
    }
    return plot.fill({"cells": data})


def generations(study: Study) -> Plot:
    """Of every species the slots it holds, its R2 and its share of the front, over the generations."""
    study = STUDY.check("study", study)
    names = tuple(one.name for one in study.species)
    info = species_info(study.snapshot, names)
    history = source(
        "history", "x", *(f"{part}_{s}" for part in ("slots", "r2", "share") for s in range(len(names)))
    )
    options = {"height": 240, "min_width": 230, "tools": "", "x_axis_label": "evaluations"}
    figures = {
        "slots": plain_figure(title="population slots", **options),
        "r2": plain_figure(title="R2, lower is better", **options),
        "share": plain_figure(title="share of the front", **options),
    }
    items = []
    for position, name in enumerate(names):
        line = {
            "line_color": style.species_color(position), "line_width": 2.5,
            "line_dash": DASHES[position % len(DASHES)],
        }  # fmt: skip
        drawn = [p.line("x", f"{part}_{position}", source=history, **line) for part, p in figures.items()]
        items.append(LegendItem(label=name, renderers=[drawn[-1]]))
    figures["share"].y_range.start, figures["share"].y_range.end = 0, 1
    figures["share"].add_layout(Legend(items=items, border_line_color=None), "right")
    layout = row(*figures.values(), sizing_mode="stretch_width", styles={"flex-wrap": "wrap"})
    data: dict[str, object] = {"x": info.evaluations}
    for part, rows in (("slots", info.allocation), ("r2", info.r2), ("share", info.front_share)):
        data |= {f"{part}_{s}": rows[:, s] for s in range(len(names))}
    label = "Population slots, R2 and share of the front of every species"
    return Plot(layout, {"history": history}, label).fill({"history": data})
