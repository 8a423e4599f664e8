"""The words of the report, as HTML; every name and message is escaped."""

from __future__ import annotations

import datetime
import html
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nemo_lab.plots import info as infos
from nemo_lab.search.objective import Objective, objectives_of
from nemo_lab.study import Snapshot, Study
from nemo_lab.study.results.frames import NO_SPECIES
from nemo_lab.study.results.validation import held_out
from nemo_lab.widgets import markup

NOTHING_YET = (
    "<section><h2>Pareto front</h2><p>Nothing has been evaluated yet, so there is no front. "
    "Start the search, then save the report again.</p></section>"
)
NO_SCRIPT = "<p>With JavaScript the figures can be zoomed and clicked; this is a picture of them.</p>"
HOW_TO_LOOK = (
    "Shapes stand for species, colours for the third objective. Click a point, or choose a configuration "
    "here or in the table, to see its bit-widths in the network below."
)


class Column(NamedTuple):
    """A column of the front's table: heading, texts, and what to sort by."""

    heading: str
    texts: list[str]
    values: list[float] | list[str]


def facts(study: Study, snapshot: Snapshot, versions: Mapping[str, str]) -> str:
    """What was searched, how far, and by which versions."""
    now = datetime.datetime.now(datetime.UTC)
    rows = [
        ("workload", study.title),
        ("state", markup.STATE_WORDS[snapshot.state]),
        ("evaluations", markup.made(snapshot, ",")),
        ("on the front", f"{len(snapshot.front):,}"),
        ("hypervolume", f"{snapshot.hypervolume:.4f}"),
        ("generation", f"{snapshot.generation}"),
        ("seed", f"{study.seed}"),
        ("species", ", ".join(one.name for one in study.species)),
        ("saved", f"{now:%Y-%m-%d %H:%M} UTC"),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
    ]
    listed = "".join(
        f"<div><dt>{html.escape(key)}</dt><dd>{html.escape(value)}</dd></div>" for key, value in rows
    )
    held = markup.pins(snapshot, study.problem) + "<br>" + markup.in_force(snapshot, study.problem)
    return f'<dl class="facts">{listed}</dl><p>{held}</p>'


def chooser(study: Study, snapshot: Snapshot) -> str:
    """The keyboard's way to a configuration: a menu of the front by size, and steps along it."""
    values, objectives = snapshot.evaluations.objectives, objectives_of(study.problem)
    size = values[snapshot.front][:, min(1, len(objectives) - 1)]
    options = "".join(
        f'<option value="{config}">{config}: {html.escape(_brief(objectives, values[config]))}</option>'
        for config in snapshot.front[np.argsort(size, kind="stable")]
    )
    return (
        '<p class="chooser"><label>Configuration <select id="chooser">' + options + "</select></label> "
        '<button type="button" id="previous">Previous</button> '
        '<button type="button" id="next">Next</button></p>'
    )


def _brief(objectives: Sequence[Objective], values: np.ndarray) -> str:
    return ", ".join(
        f"{one.label} {one.text(float(value))}" for one, value in zip(objectives, values, strict=True)
    )


def front_table(study: Study, snapshot: Snapshot) -> str:
    """Every member of the front; headings sort, the first cell of a row loads it."""
    rows = snapshot.front[np.argsort(snapshot.evaluations.objectives[snapshot.front, 0], kind="stable")]
    columns = _columns(study, snapshot, rows)
    head = '<th scope="col" aria-sort="none"><button type="button">config</button></th>' + "".join(
        f'<th scope="col" aria-sort="none"><button type="button">{html.escape(one.heading)}</button></th>'
        for one in columns
    )
    body = "".join(
        f'<tr data-config="{config}"><th scope="row" data-value="{config}">'
        f'<button type="button">{config}</button></th>'
        + "".join(
            f'<td data-value="{html.escape(str(one.values[place]))}">{html.escape(one.texts[place])}</td>'
            for one in columns
        )
        + "</tr>"
        for place, config in enumerate(rows)
    )
    return (
        '<p><button type="button" id="download">Download the front as JSON</button> for '
        "<code>nemo_lab.export.load_front</code>: bit-widths, objectives, interventions and versions.</p>"
        '<div class="scroller" role="region" tabindex="0" aria-label="Members of the front">'
        f'<table id="front-table"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _columns(study: Study, snapshot: Snapshot, rows: np.ndarray) -> list[Column]:
    problem, log = study.problem, snapshot.evaluations
    bits = log.bits[rows]
    columns = []
    for one, values in zip(objectives_of(problem), log.objectives[rows].T, strict=True):
        texts = [one.text(value) for value in values.tolist()]
        columns.append(Column(one.heading, texts, one.display.of(values).tolist()))
    for one, values in zip(objectives_of(problem), log.objectives[rows].T, strict=True):
        for unit in one.units:
            scaled, sign = unit.of(values), unit.sign
            if unit.thousandth and scaled.max() < 1:
                scaled, sign = scaled * 1000, unit.thousandth
            columns.append(Column(sign, [f"{value:,.4g}" for value in scaled], scaled.tolist()))
    weight = np.array([kind == "weight" for kind in infos.graph_info(problem).kinds])
    if weight.any() and not weight.all():
        for kind, chosen in (("weight", weight), ("activation", ~weight)):
            mean = bits[:, chosen].mean(axis=1).tolist()
            columns.append(Column(f"mean {kind} bits", [f"{value:.2f}" for value in mean], mean))
    if any(int(config) in study.validated for config in rows):
        heading, texts = held_out([study.validated.get(int(config)) for config in rows])
        columns.append(Column(heading, texts, texts))
    names = [*(one.name for one in study.species), NO_SPECIES]
    owners = [names[owner] for owner in log.species[rows]]
    generations = log.generation[rows].tolist()
    columns.append(Column("species", owners, owners))
    columns.append(Column("generation", [str(one) for one in generations], generations))
    return columns


def steers(snapshot: Snapshot) -> str:
    """All interventions, newest first."""
    everything = max(len(snapshot.interventions), 1)
    return f"<section><h2>Steering log</h2>{markup.log(snapshot, everything)}</section>"


def rebuild(script: str) -> str:
    """How to repeat the run."""
    return (
        "<section><h2>Reproduce this run</h2><p>This script repeats the run bit for bit, with every "
        "intervention at the same evaluation, on the versions named above.</p>"
        f'<details><summary>The script</summary><pre tabindex="0">{html.escape(script)}</pre></details>'
        "</section>"
    )
