"""The words of the inspector: a configuration beside another in numbers, and as Python."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.plots.style import objective_label
from nemo_lab.search import ORIGINS, Problem
from nemo_lab.study import Snapshot
from nemo_lab.study.results.decision_making import choices
from nemo_lab.widgets.view import Draft, View

SAME = "same"
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
    held_out: Any = None
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
    names = tuple(getattr(problem, "cost_names", ()))
    costs = problem.costs(draft.bits[None])[0].tolist() if names else []
    unknown = "being measured" if draft.pending else "not measured"
    return Subject("draft", draft.bits, dict(zip(names, costs, strict=True)), unknown=unknown)


def line(view: View, problem: Problem) -> str:
    """The selected configuration in a line, to stand beside the front; before there is any, what to do."""
    if view.config is None:
        return '<span class="nemo-hint">Press Start: each configuration measured becomes a point here.</span>'
    one = evaluated(view.snapshot, problem, view.config, {})
    parts = [f"<b>Configuration {view.config}</b>"]
    if view.preferred is not None:
        names = choices(problem.objective_names).items()
        parts[0] += f" ({next(name for name, choice in names if choice is view.preferred)})"
    parts += [
        f"{html.escape(objective_label(name).split(',')[0])} {_value(problem, name, one)}"
        for name in problem.objective_names
    ]
    return f'<span class="nemo-selected">{" · ".join(parts)}</span>'


def table(problem: Problem, kinds: Sequence[str], subjects: Sequence[Subject]) -> str:
    """Configurations side by side in numbers, and what the first has more than the second."""
    rows = [_row(problem, name, subjects) for name in problem.objective_names]
    if any(subject.held_out is not None for subject in subjects):
        held = ["-" if s.held_out is None else html.escape(str(s.held_out)) for s in subjects]
        rows.insert(1, ("held out", held, ""))
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


def _row(problem: Problem, name: str, subjects: Sequence[Subject]) -> Row:
    label = html.escape(objective_label(name).split(",")[0])
    cells = [_value(problem, name, subject) for subject in subjects]
    first, second = (subject.objectives.get(name) for subject in (subjects[0], subjects[:2][-1]))
    if first is None or second is None:
        return label, cells, "-"
    if first == second:
        return label, cells, SAME
    if name == "task_error":
        return label, cells, f"{100 * (second - first):+.2f} points"
    percent = f" ({first / second - 1:+.1%})" if second else ""
    return label, cells, f"{'+' if first > second else ''}{number(first - second)}{percent}"


def _value(problem: Any, name: str, subject: Subject) -> str:
    value = subject.objectives.get(name)
    if value is None:
        return subject.unknown
    if name == "task_error":
        return f"{1 - value:.2%}"
    return f"{number(value)}{absolute(problem, subject.bits).get(name, '')}"


def number(value: float) -> str:
    """With four decimals, or as many digits where those would show nothing, or too many stand before them."""
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e6 else f"{value:.3g}"


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


def absolute(problem: Any, bits: Bits) -> dict[str, str]:
    """The two ratios of a configuration in bytes and bit-operations, where the problem has a cost model."""
    model = getattr(problem, "cost_model", None)
    if model is None:
        return {}
    megabytes, giga = model.absolute(bits)[0]
    size = f"{megabytes:,.2f} MB" if megabytes >= 1 else f"{megabytes * 1000:.1f} kB"
    work = f"{giga:,.2f} GBOPs" if giga >= 1 else f"{giga * 1000:.2f} MBOPs"
    return {"model_ratio": f" = {size}", "bitop_ratio": f" = {work}"}


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
