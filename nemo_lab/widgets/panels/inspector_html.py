"""The words of the inspector: a configuration beside another in numbers, and as Python."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.search import ORIGINS, Problem
from nemo_lab.search.objective import Objective, objectives_of, varied
from nemo_lab.study import Snapshot
from nemo_lab.study.results.decision_making import choices
from nemo_lab.study.results.validation import Validation, held_out
from nemo_lab.widgets.view.records import Draft, View

SAME = "same"
NETWORKS = (".onnx", ".safetensors", ".pt2")  # files that hold one
Bits = NDArray[np.uint8]
Row = tuple[str, Sequence[str], str]  # label, a cell for each configuration, and the difference


@dataclass(frozen=True, eq=False)
class Subject:
    """A configuration that is spoken of.

    Attributes:
        title: what it is called.
        bits: uint8[Q].
        objectives: those that are known, by name.
        held_out: what was measured on held-out examples, None if nothing was.
        unknown: what is said in the place of other objectives.
    """

    title: str
    bits: Bits
    objectives: Mapping[str, float]
    held_out: Validation | None = None
    unknown: str = "not measured"


def evaluated(snapshot: Snapshot, problem: Problem, config: int, validated: Mapping[int, Any]) -> Subject:
    """One of the run's own."""
    log = snapshot.evaluations
    values = dict(zip(problem.objective_names, log.objectives[config].tolist(), strict=True))
    return Subject(f"Configuration {config}", log.bits[config], values, validated.get(config))


def drafted(problem: Any, draft: Draft) -> Subject:
    """One that is being made by hand: its costs answer at once, the rest once it is measured."""
    if draft.objectives is not None:
        return Subject("draft", draft.bits, dict(zip(problem.objective_names, draft.objectives, strict=True)))
    names = problem.cost_names
    costs = problem.costs(draft.bits[None])[0].tolist()
    unknown = "being measured" if draft.pending else "not measured"
    return Subject("draft", draft.bits, dict(zip(names, costs, strict=True)), unknown=unknown)


def line(view: View, problem: Problem) -> str:
    """The selected configuration in a line, to stand beside the front; before there is any, what to do."""
    if view.config is None:
        what = "Press Start: each configuration measured becomes a point here."
        return f'<div class="nemo-steady nemo-hint">{what}</div>'
    one = evaluated(view.snapshot, problem, view.config, {})
    parts = [f"<b>Configuration {view.config}</b>"]
    if view.preferred is not None:
        names = choices(varied(problem)).items()
        parts[0] += f" ({html.escape(next(name for name, choice in names if choice is view.preferred))})"
    parts += [f"{html.escape(known.label)} {_value(known, one)}" for known in objectives_of(problem)]
    return f'<div class="nemo-steady nemo-selected">{" · ".join(parts)}</div>'


def table(problem: Problem, kinds: Sequence[str], subjects: Sequence[Subject]) -> str:
    """Configurations side by side in numbers, and what the first has more than the second."""
    rows = [_row(one, subjects) for one in objectives_of(problem)]
    if any(subject.held_out is not None for subject in subjects):
        heading, texts = held_out([subject.held_out for subject in subjects], "-")
        rows.insert(1, (html.escape(heading), [html.escape(text) for text in texts], ""))
    weight = np.array([kind == "weight" for kind in kinds])
    for label, chosen in (("weights", weight), ("activations", ~weight)):
        if chosen.any():
            means = [float(subject.bits[chosen].mean()) for subject in subjects]
            more = means[0] - means[min(1, len(means) - 1)]
            rows.append(
                (f"mean bits, {label}", [f"{m:.2f}" for m in means], f"{more:+.2f}" if more else SAME)
            )
    if len(subjects) > 1:
        differ = int((subjects[0].bits != subjects[1].bits).sum())
        rows.append(("nodes that differ", [""] * len(subjects), str(differ)))
    heads = _beside([html.escape(subject.title) for subject in subjects], "difference")
    head = "".join(f"<th scope='col'>{cell}</th>" for cell in ("", *heads))
    body = "".join(
        f"<tr><th scope='row'>{label}</th>"
        + "".join(f"<td>{cell}</td>" for cell in _beside(cells, difference))
        + "</tr>"
        for label, cells, difference in rows
    )
    return f"<table class='nemo-table nemo-beside'><tr>{head}</tr>{body}</table>"


def _beside(cells: Sequence[str], difference: str) -> list[str]:
    """The difference after the two that it is of."""
    return [*cells[:2], difference, *cells[2:]] if len(cells) > 1 else list(cells)


def _row(one: Objective, subjects: Sequence[Subject]) -> Row:
    label = html.escape(one.label)
    cells = [_value(one, subject) for subject in subjects]
    first, second = (subject.objectives.get(one.name) for subject in (subjects[0], subjects[:2][-1]))
    if first is None or second is None:
        return label, cells, "-"
    if first == second:
        return label, cells, SAME
    return label, cells, one.difference(first, second)


def _value(one: Objective, subject: Subject) -> str:
    value = subject.objectives.get(one.name)
    return subject.unknown if value is None else one.in_units(value)


def marks(subjects: Sequence[Subject]) -> str:
    """What the marks in the strip mean, and how many there are; nothing without a second configuration."""
    if len(subjects) < 2:
        return ""
    now, was = subjects[0].bits, subjects[1].bits
    title = html.escape(subjects[1].title)
    if np.array_equal(now, was):
        return f'<span class="nemo-hint">Every node has the bit-width of {title}.</span>'
    return (
        f'<span class="nemo-hint">▲ {int((now > was).sum())} raised, ▼ {int((now < was).sum())} lowered; '
        f"the line is the bit-width in {title}.</span>"
    )


def size(problem: Problem, bits: Bits, written: Mapping[str, int]) -> str:
    """What a configuration takes when it is stored, and in files, once written; nothing without a network."""
    stored = problem.stored_bytes(bits)
    if stored is None:
        return ""
    weights, payload = map(_bytes, stored)
    parts = [f"{weights} weights, {payload} with biases and scales"]
    parts += [
        f"{html.escape(one)} {_bytes(count)}" for one, count in written.items() if one.endswith(NETWORKS)
    ]
    return f'<div class="nemo-hint">{" · ".join(parts)}</div>'


def _bytes(count: int) -> str:
    """A number of bytes in a unit that is easily read."""
    if count < 1000:
        return f"{count} bytes"
    return f"{count / 1e3:.1f} kB" if count < 1e6 else f"{count / 1e6:,.1f} MB"


def origin(snapshot: Snapshot, species: Sequence[str], config: int) -> str:
    """Where one of the run's own came from."""
    log = snapshot.evaluations
    owner = log.species[config]
    by = html.escape(species[owner]) if owner >= 0 else "hand"
    front = "on the front" if config in snapshot.front else "not on the front"
    return (
        f'<span class="nemo-hint">{front} · found by {by}, {ORIGINS[log.origin[config]]}, in generation '
        f"{log.generation[config]} · study.config({config})</span>"
    )


def as_python(problem: Problem, bits: Bits) -> str:
    """A configuration as code that gives it to a study."""
    lines = [f"    {name!r}: {int(width)}," for name, width in zip(problem.node_names, bits, strict=True)]
    return "\n".join(["bits = {", *lines, "}", "study.what_if(bits)"])
