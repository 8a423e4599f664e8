"""The words of the dashboard, as HTML; every name and message is escaped."""

from __future__ import annotations

import html
import traceback
from collections.abc import Sequence

from nemo_lab.errors import NemoError
from nemo_lab.plots.style import (
    MARKER_SIGNS,
    PIN_COLOR,
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


def title(label: str, legend: str = "") -> str:
    """The heading of a panel, with a legend beside it."""
    return f'<div class="nemo-title"><span role="heading" aria-level="3">{label}</span> {legend}</div>'


def status(snapshot: Snapshot, seed: int) -> str:
    """One line on where the run stands."""
    left = snapshot.seconds_left
    parts = [f"<b>{STATE_WORDS[snapshot.state]}</b>", f"{made(snapshot)} evaluations"]
    if snapshot.state in ("running", "paused") and left is not None:
        parts.append(f"about {duration(left)} left")
    parts += [
        f"{len(snapshot.front)} on the front",
        f"hypervolume {snapshot.hypervolume:.3f}",
        f"generation {snapshot.generation}",
        f"seed {seed}",
    ]
    if snapshot.waiting:
        parts.append(f"{snapshot.waiting} waiting to be evaluated")
    if snapshot.reused:
        parts.append(f"{snapshot.reused} taken from earlier runs")
    if snapshot.exhausted:
        parts.append("every configuration has been evaluated")
    percent = 100 * _share_done(snapshot)
    bar = (
        f'<div class="nemo-progress" role="progressbar" aria-label="evaluations done" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="{percent:.0f}"><div style="width:{percent:.1f}%"></div></div>'
    )
    return f'{bar}<span class="nemo-status">{" · ".join(parts)}</span>'


def _share_done(snapshot: Snapshot) -> float:
    """How far the run is, from 0 to 1; by the time that is left where that is what ends it."""
    done, left = len(snapshot.evaluations), snapshot.seconds_left
    if left is None:
        return 0.0 if snapshot.endless else done / max(snapshot.target, done, 1)
    return done / max(done + left / snapshot.seconds_per_evaluation, 1.0)


def made(snapshot: Snapshot, form: str = "") -> str:
    """How many evaluations there are, of how many if that ends the run; each number in a format."""
    done = len(snapshot.evaluations)
    return f"{done:{form}}" if snapshot.endless else f"{done:{form}} of {max(snapshot.target, done):{form}}"


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
        "All evaluations are kept. Fix the cause, then press Start to continue."
        f"<details><summary>Traceback</summary><pre>{html.escape(trace)}</pre></details></div>"
    )


def notice(what: str | Exception) -> str:
    """What came of an action: nothing, a notice, or an error with the way out.

    An unexpected error comes with its traceback, folded.
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
    """The latest interventions, newest first; earlier ones folded."""
    steers = snapshot.interventions[::-1]
    if not steers:
        return '<span class="nemo-hint">No interventions yet.</span>'

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


def in_force(snapshot: Snapshot, problem: Problem) -> str:
    """Constraints and aspiration in force."""
    names, asked = problem.objective_names, snapshot.constraints
    limits = [f"{names[k]} <= {limit:.4g}" for k, limit in asked.limits.items()]
    ranges = [f"{names[k]} {low:.4g} to {high:.4g}" for k, (low, high) in asked.aspiration.items()]
    if not limits and not ranges:
        return '<span class="nemo-hint">No constraints and no aspiration.</span>'
    said = (
        f"<b>{kind}:</b> {html.escape(', '.join(parts))}"
        for kind, parts in (("Constraints", limits), ("Aspiration", ranges))
        if parts
    )
    return f'<span class="nemo-pins">{" &nbsp; ".join(said)}</span>'


def species_sign(position: int) -> str:
    """The marker of a species in its colour."""
    sign = MARKER_SIGNS[species_marker(position)]
    return f'<b class="nemo-sign" style="color:{species_color(position)}" aria-hidden="true">{sign}</b>'


def species_legend(species: Sequence[str]) -> str:
    """The marker of every species, in the colour of the text."""
    return _signs([(MARKER_SIGNS[species_marker(place)], name) for place, name in enumerate(species)])


def front_legend(species: Sequence[str], pinned: bool, tuned: bool = False) -> str:
    """What every sign in the views of the front means."""
    ring = f"<span style='color:{SELECTION_COLOR}'>◯</span>"
    others = [("+", "starting points"), ("•", "dominated"), ("\u00d7", "uniform"), (ring, "selected")]
    others += [("○", "hidden by pins")] if pinned else []
    others += [("✱", "tuned, on held-out examples")] if tuned else []
    return f"{species_legend(species)} &nbsp; {_signs(others)}"


def _signs(signs: Sequence[tuple[str, str]]) -> str:
    """Signs with their meaning, each on the line of its word."""
    shown = (
        f"<span style='white-space:nowrap'><b aria-hidden='true'>{sign}</b> {html.escape(meaning)}</span>"
        for sign, meaning in signs
    )
    return f'<span class="nemo-hint">{" &nbsp; ".join(shown)}</span>'


def width_legend(widths: Sequence[int], gestures: str) -> str:
    """The colour of every bit-width, what the signs mean, and what the mouse does."""
    colors = width_colors(widths)
    boxes = "".join(
        f'<span style="background:{colors[width]};color:{text_on(colors[width])}">{width}</span>'
        for width in widths
    )
    return (
        f'<div class="nemo-legend nemo-hint">bits {boxes} &nbsp; squares: weights, circles: activations, '
        f'<b style="color:{PIN_COLOR}">▼</b> pinned · {gestures}</div>'
    )


def selected_nodes(names: Sequence[str], nodes: Sequence[int], most: int, aside: str = "") -> str:
    """How many nodes are selected, and the first of them by name; then something else."""
    aside = f' <span class="nemo-hint">({aside})</span>' if aside else ""
    if not nodes:
        hint = "No node is selected: click one, drag a box, or find one by name."
        return f'<div class="nemo-steady nemo-hint">{hint}{aside}</div>'
    listed = ", ".join(html.escape(names[node]) for node in nodes[:most])
    more = ", ..." if len(nodes) > most else ""
    count = f"{len(nodes)} of {len(names)} nodes selected:"
    return f'<div class="nemo-steady nemo-selected"><b>{count}</b> {listed}{more}{aside}</div>'
