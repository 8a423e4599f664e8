"""The words of the dashboard, as HTML; every name and message is escaped."""

from __future__ import annotations

import html
import traceback
from collections.abc import Sequence

from nemo_lab.errors import NemoError
from nemo_lab.plots.style import (
    MARKER_SIGNS,
    SELECTION_COLOR,
    species_color,
    species_marker,
    text_on,
    width_colors,
)
from nemo_lab.search import Problem
from nemo_lab.search.constraints import width_text
from nemo_lab.study import Intervention, Snapshot

STATE_WORDS = {
    "idle": "ready",
    "running": "searching",
    "paused": "paused",
    "stopping": "stopping",
    "finished": "finished",
    "failed": "failed",
}


def status(snapshot: Snapshot, seed: int) -> str:
    """One line on where the run stands."""
    done = len(snapshot.evaluations)
    parts = [f"<b>{STATE_WORDS[snapshot.state]}</b>", f"{done} of {max(snapshot.target, done)} evaluations"]
    left = snapshot.seconds_left
    if snapshot.state in ("running", "paused") and left is not None:
        parts.append(f"about {duration(left)} left")
    parts += [
        f"{len(snapshot.front)} on the front",
        f"hypervolume {snapshot.hypervolume:.3f}",
        f"generation {snapshot.generation}",
        f"seed {seed}",
    ]
    if snapshot.waiting:
        parts.append(f"{snapshot.waiting} projected or hand-made waiting")
    if snapshot.reused:
        parts.append(f"{snapshot.reused} measured before")
    if snapshot.exhausted:
        parts.append("every configuration is evaluated")
    percent = 100 * done / max(snapshot.target, done, 1)
    bar = (
        f'<div class="nemo-progress" role="progressbar" aria-label="evaluations done" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="{percent:.0f}"><div style="width:{percent:.1f}%"></div></div>'
    )
    return f'{bar}<span class="nemo-status">{" · ".join(parts)}</span>'


def duration(seconds: float) -> str:
    """``42 s``, ``3 min 20 s`` or ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def failure(trace: str) -> str:
    """The error that ended a run, its traceback folded."""
    last = trace.strip().splitlines()[-1]
    return (
        f'<div class="nemo-error" role="alert"><b>The run failed:</b> {html.escape(last)}<br>'
        "Nothing evaluated is lost. Mend the cause, then press Start to go on."
        f"<details><summary>Traceback</summary><pre>{html.escape(trace)}</pre></details></div>"
    )


def told(what: str | Exception) -> str:
    """What came of an action: nothing, a notice, or why it could not be done and the way out.

    An error that we did not foresee comes with its traceback, folded.
    """
    if not what:
        return ""
    folded = ""
    if isinstance(what, Exception):
        kind = type(what).__name__
        if not isinstance(what, NemoError | ValueError):
            lines = "".join(traceback.format_exception(what))
            folded = f"<details><summary>Traceback</summary><pre>{html.escape(lines)}</pre></details>"
        message = f"{kind}: {what}" if folded else str(what) or kind
    else:
        message = what
    return f'<div class="nemo-notice" role="status">{html.escape(message)}{folded}</div>'


def log(snapshot: Snapshot, most: int = 8, folded: int = 200) -> str:
    """The latest hand steers, newest first; earlier ones folded."""
    steers = snapshot.interventions[::-1]
    if not steers:
        return '<span class="nemo-hint">No steers yet.</span>'

    def table(shown: Sequence[Intervention]) -> str:
        rows = "".join(
            f"<tr><td>after {one.evaluation}</td><td>{html.escape(one.action)}</td>"
            f"<td>{html.escape(one.detail)}</td></tr>"
            for one in shown
        )
        return f"<table>{rows}</table>"

    earlier = steers[most : most + folded]
    more = len(steers) - most - folded
    rest = f"<p>{more} more: study.interventions()</p>" if more > 0 else ""
    below = f"<details><summary>{len(earlier)} earlier</summary>{table(earlier)}{rest}</details>"
    return table(steers[:most]) + (below if earlier else "")


def pins(snapshot: Snapshot, problem: Problem, most: int = 12) -> str:
    """The pins in force, many of them folded."""
    if not snapshot.pins:
        return '<span class="nemo-hint">Nothing is pinned.</span>'
    listed = ", ".join(
        f"{html.escape(problem.node_names[node])} = {width_text(width)}"
        for node, width in snapshot.pins.items()
    )
    count = len(snapshot.pins)
    if count <= most:
        return f'<span class="nemo-pins"><b>Pinned:</b> {listed}</span>'
    return (
        f'<details class="nemo-pins"><summary><b>Pinned:</b> {count} of {len(problem.node_names)} nodes'
        f"</summary>{listed}</details>"
    )


def wishes(snapshot: Snapshot, problem: Problem) -> str:
    """Constraints and aspiration in force."""
    names, rules = problem.objective_names, snapshot.constraints
    parts = [f"{names[k]} <= {limit:.4g}" for k, limit in rules.limits.items()]
    parts += [f"within {names[k]} {low:.4g} to {high:.4g}" for k, (low, high) in rules.aspiration.items()]
    if not parts:
        return '<span class="nemo-hint">No constraints, no aspiration.</span>'
    return f'<span class="nemo-pins"><b>Asked for:</b> {html.escape(", ".join(parts))}</span>'


def species_sign(position: int) -> str:
    """The marker of a species in its colour."""
    sign = MARKER_SIGNS[species_marker(position)]
    return f'<b class="nemo-sign" style="color:{species_color(position)}" aria-hidden="true">{sign}</b>'


def species_legend(species: Sequence[str]) -> str:
    """The marker of every species, in the colour of the text."""
    return _signs([(MARKER_SIGNS[species_marker(place)], name) for place, name in enumerate(species)])


def front_legend(species: Sequence[str], pinned: bool) -> str:
    """What every sign in the views of the front means."""
    ring = f"<span style='color:{SELECTION_COLOR}'>◯</span>"
    others = [("+", "no species"), ("•", "others"), ("\u00d7", "uniform"), (ring, "selected")]
    others += [("○", "without the pins")] if pinned else []
    return f"{species_legend(species)} &nbsp; {_signs(others)}"


def _signs(signs: Sequence[tuple[str, str]]) -> str:
    """Signs with their meaning, each on the line of its word."""
    shown = (
        f"<span style='white-space:nowrap'><b aria-hidden='true'>{sign}</b> {html.escape(meaning)}</span>"
        for sign, meaning in signs
    )
    return f'<span class="nemo-hint">{" &nbsp; ".join(shown)}</span>'


def width_legend(widths: Sequence[int]) -> str:
    """The colour of every bit-width."""
    colors = width_colors(widths)
    boxes = "".join(
        f'<span style="background:{colors[width]};color:{text_on(colors[width])}">{width}</span>'
        for width in widths
    )
    return (
        f'<div class="nemo-legend nemo-hint">bits {boxes} &nbsp; squares are weights, circles activations, '
        "tap or drag a box to select nodes, tap a heading to fold its block, Ctrl and wheel to zoom; "
        '<span style="color:#D55E00;width:auto">▼</span> pinned</div>'
    )


def selected_nodes(names: Sequence[str], nodes: Sequence[int], most: int, aside: str = "") -> str:
    """How many nodes are selected, and the first of them by name; then something else."""
    aside = f' <span class="nemo-hint">({aside})</span>' if aside else ""
    if not nodes:
        hint = "No node is selected: tap one, draw a box, or find it here."
        return f'<span class="nemo-hint">{hint}</span>{aside}'
    listed = ", ".join(html.escape(names[node]) for node in nodes[:most])
    more = ", ..." if len(nodes) > most else ""
    count = f"{len(nodes)} of {len(names)} nodes selected:"
    return f'<span class="nemo-selected"><b>{count}</b> {listed}{more}</span>{aside}'
