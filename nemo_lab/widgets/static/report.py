"""One HTML file of a study that anybody can open: no kernel, no network, still to be tapped and zoomed."""

from __future__ import annotations

import base64
import html
import json
import os
from pathlib import Path
from typing import Any

from bokeh.embed import json_item
from bokeh.models import BoxSelectTool, PanTool, TapTool
from bokeh.plotting import figure

from nemo_lab import plots
from nemo_lab.export import front_to_dict
from nemo_lab.files import write_text
from nemo_lab.plots import Plot, style
from nemo_lab.plots import info as infos
from nemo_lab.study import Snapshot, Study
from nemo_lab.study.results.decision_making import choose, within_a_point
from nemo_lab.widgets import markup
from nemo_lab.widgets.elements.figure import bokeh_script
from nemo_lab.widgets.elements.frame_diff import packed
from nemo_lab.widgets.elements.source import text
from nemo_lab.widgets.static import picture, report_html
from nemo_lab.widgets.view.records import References

HERE = Path(__file__).parent
# the browser itself keeps the file from asking anybody for anything
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "font-src data:; base-uri 'none'; form-action 'none'"
)


def save(
    study: Study, path: str | os.PathLike[str], config: int | None = None, references: References = ()
) -> Path:
    """Write the report of a study as it is now; a file of that name is replaced.

    Args:
        study: may be running.
        path: of the HTML file.
        config: configuration that is shown first, a good one of the front by default.
        references: text and drawn values float[3] of points for orientation.

    Returns:
        where it was written.

    Raises:
        ArgumentError: if the file cannot be written.
    """
    return write_text(page(study, config, references), path)


def page(study: Study, config: int | None = None, references: References = ()) -> str:
    """The report as HTML, see ``save``."""
    snapshot = study.snapshot
    if config is None or config >= len(snapshot.evaluations):
        config = choose(snapshot, within_a_point, study.problem) if len(snapshot.front) else None
    record = front_to_dict(study, snapshot)
    title = html.escape(f"Mixed precision for {study.title}")
    body = "\n".join(
        [
            f"<h1>{title}</h1>",
            report_html.facts(study, snapshot, record["versions"]),
            f"<noscript>{report_html.NO_SCRIPT}{picture.picture(study, snapshot, config)}</noscript>",
            *(_front(study, snapshot) if len(snapshot.front) else [report_html.NOTHING_YET]),
            *_network(study),
            *(_table(study, snapshot) if len(snapshot.front) else []),
            *(_progress(study) if len(snapshot.evaluations) else []),
            report_html.steers(snapshot),
            report_html.rebuild(record["script"]),
        ]
    )
    data = {
        "figures": _figures(study, snapshot, config, references),
        "colors": {
            width: [color, style.text_on(color)]
            for width, color in style.width_colors(study.problem.bit_widths).items()
        },
        "config": config,
        "bits": [] if config is None else snapshot.evaluations.bits[config].tolist(),
        "file": f"front-{''.join(c if c.isalnum() else '-' for c in study.title)}.json",
    }
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}</title>\n<style>\n{_read('report.css')}</style>\n</head>\n<body>\n<main>\n{body}\n"
        f'</main>\n<script type="application/json" id="report-data">{_json(data)}</script>\n'
        f'<script type="application/json" id="report-front">{_json(record)}</script>\n'
        f"<script>{_script(bokeh_script())}</script>\n"
        f"<script>\n{_script(text('bokeh_models.js'))}\n{_script(_read('report.js'))}</script>\n</body>\n</html>\n"
    )


def _front(study: Study, snapshot: Snapshot) -> list[str]:
    legend = markup.front_legend([one.name for one in study.species], bool(snapshot.pins))
    return [
        "<section><h2>Pareto front</h2>",
        f"<p>{report_html.HOW_TO_LOOK} {legend}</p>",
        report_html.chooser(study, snapshot),
        '<div class="figure" data-figure="front"></div></section>',
    ]


def _network(study: Study) -> list[str]:
    problem = study.problem
    return [
        f"<section><h2>Network: {len(problem.node_names)} bit-widths</h2>",
        markup.width_legend(problem.bit_widths, "drag to move along a long network"),
        '<p id="shown" role="status"></p>',
        '<div class="figure" data-figure="graph"></div>',
        '<div class="figure" data-figure="strip"></div></section>',
    ]


def _table(study: Study, snapshot: Snapshot) -> list[str]:
    return [
        "<section><h2>The front as a table</h2>",
        report_html.front_table(study, snapshot),
        "</section>",
    ]


def _progress(study: Study) -> list[str]:
    legend = markup.species_legend([one.name for one in study.species])
    return [
        f"<section><h2>Progress of the run</h2><p>{legend}</p>",
        '<div class="figure" data-figure="hypervolume"></div>',
        '<div class="figure" data-figure="species"></div></section>',
    ]


def _figures(
    study: Study, snapshot: Snapshot, config: int | None, references: References
) -> dict[str, dict[str, Any]]:
    """Layout, label and data of every figure, by name."""
    problem, names = study.problem, tuple(one.name for one in study.species)
    bits = None if config is None else snapshot.evaluations.bits[config]
    graph = infos.graph_info(problem)
    drawn: dict[str, tuple[Plot, plots.Columns]] = {
        "graph": (
            _without_selection(plots.graph_plot(len(graph.names), bool(graph.stages))),
            plots.graph_columns(graph, bits, problem.bit_widths, snapshot.pins),
        ),
        "strip": (
            plots.bits_plot(problem.node_names, problem.bit_widths),
            plots.bits_columns(bits, problem.node_names, problem.bit_widths),
        ),
    }
    if len(snapshot.front):
        front = infos.front_info(snapshot, problem, names)
        drawn["front"] = (
            _with_toolbar(plots.front_plot(infos.drawn_objectives(problem))),
            plots.front_columns(front, config, references),
        )
    if len(snapshot.evaluations):
        progress = infos.species_info(snapshot, names)
        drawn["hypervolume"] = plots.hypervolume_plot(), plots.hypervolume_columns(progress)
        drawn["species"] = plots.species_plot(names), plots.species_columns(progress)
    return {
        name: {"item": json_item(plot.layout), "label": plot.label, "columns": packed(columns)}
        for name, (plot, columns) in drawn.items()
    }


def _with_toolbar(plot: Plot) -> Plot:
    """The same plot with buttons to zoom."""
    for one in plot.layout.select({"type": figure}):
        one.tools = [tool for tool in one.tools if not isinstance(tool, BoxSelectTool)]
        one.toolbar_location = "above"
        one.toolbar.logo = None
    return plot


def _without_selection(plot: Plot) -> Plot:
    """The same plot to look at only: without a kernel nothing can be pinned."""
    for one in plot.layout.select({"type": figure}):
        one.tools = [tool for tool in one.tools if not isinstance(tool, TapTool | BoxSelectTool)]
        one.toolbar.active_drag = one.select_one(PanTool) or "auto"
    return plot


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _script(source: str) -> str:
    """JavaScript that cannot end its element, whatever its texts say."""
    return source.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _json(value: Any) -> str:
    """JSON for a script element: no name in it can end the element or begin another."""
    plain = json.dumps(value, default=_base64, separators=(",", ":"))
    return plain.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _base64(value: Any) -> str:
    """The bytes of a column, as ``packed`` makes them."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"a {type(value).__name__} has no place in a report")
