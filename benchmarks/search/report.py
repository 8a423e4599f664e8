"""Results -> a Markdown page, one section for each problem."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.search.cells import CHECKPOINTS, HELD_OUT
from benchmarks.search.methods import METHODS
from benchmarks.search.problems import PROBLEMS, TITLES
from benchmarks.search.store import Store

HEADER = """# Search quality at equal numbers of evaluations

`{command}`

Normalised hypervolume (larger is better, at most 1) of the non-dominated configurations among the
first evaluator calls, as many as a column says; objectives are task error, model ratio and bit-operation
ratio, scaled by the problem's `objective_bounds`. Every method calls the same evaluator, one
configuration at a time, without a cache, so a repeated configuration costs a call, and so does every
probe of a sensitivity. Mean over seeds, minimum to maximum in brackets, the best mean in bold; a dash where a
method was not given so many evaluations. Methods that draw nothing at random run once. Times are wall times
on one thread, on cores that other work shared: read them as an order of magnitude.
"""

Results = Sequence[dict[str, Any]]


def page(store: Store, seeds: int) -> str:
    """The whole page: all problems and methods with results, of the first ``seeds`` seeds."""
    command = f"python -m benchmarks.search.run --seeds {seeds}"
    parts = [HEADER.format(command=command)]
    used: dict[str, None] = {}
    for problem in PROBLEMS:
        found = {method: store.results(problem, method, seeds) for method in METHODS}
        found = {method: results for method, results in found.items() if results}
        if found:
            parts.append(_section(problem, found))
            used |= dict.fromkeys(found)
    notes = [f"- {METHODS[name].title}: {METHODS[name].note}." for name in used]
    return "\n".join([*parts, "## The methods", "", *notes]) + "\n"


def _section(problem: str, found: dict[str, Results]) -> str:
    counts = CHECKPOINTS
    last = max((one for results in found.values() for one in results), key=lambda one: one["date"])
    lines = [f"## {TITLES.get(problem, problem)}", "", f"{last['date']}, {last['machine']}.", ""]
    columns = ["method", "runs", *(f"at {count:,}" for count in counts), "distinct of calls"]
    columns += ["evaluator ms / call", "overhead ms / call"]
    means = {name: [_mean(results, i) for i in range(len(counts))] for name, results in found.items()}
    best = np.max([[-1.0 if mean is None else mean for mean in row] for row in means.values()], axis=0)
    rows = [
        [
            METHODS[name].title,
            str(len(results)),
            *(_spread(results, i, means[name][i] == best[i]) for i in range(len(counts))),
            "{:,.0f} of {:,.0f}".format(
                *np.mean([(one["distinct"], one["calls"]) for one in results], axis=0)
            ),
            f"{np.mean([one['evaluator'] for one in results]):.2f}",
            f"{np.mean([one['overhead'] for one in results]):.2f}",
        ]
        for name, results in found.items()
    ]
    lines += _table(columns, rows)
    members = [one["members"] for one in found.get(HELD_OUT[0], ()) if "members" in one]
    if members:
        lines += _held_out(METHODS[HELD_OUT[0]].title, members[0])
    return "\n".join(lines) + "\n"


def _mean(results: Results, place: int) -> float | None:
    values = [one["hypervolume"][place] for one in results]
    return None if None in values else round(float(np.mean(values)), 4)


def _spread(results: Results, place: int, best: bool) -> str:
    mean = _mean(results, place)
    if mean is None:
        return "-"
    text = f"**{mean:.4f}**" if best else f"{mean:.4f}"
    values = [one["hypervolume"][place] for one in results]
    return text if len(values) == 1 else f"{text} ({min(values):.4f} to {max(values):.4f})"


def _held_out(title: str, members: Results) -> list[str]:
    lines = [
        "",
        "Accuracy on the images searched and on held-out ones: members of the front of the first run of "
        f"{title} with a task error below 0.5, evenly spread over the model ratio.",
        "",
    ]
    columns = ["", "model ratio", "bit-op ratio", "searched", "held out", "difference"]
    return lines + _table(columns, [_member(member) for member in members])


def _member(member: dict[str, Any]) -> list[str]:
    ratios = (member["model_ratio"], member["bitop_ratio"])
    return [
        member["name"],
        *("" if value is None else f"{value:.4f}" for value in ratios),
        f"{member['searched']:.1%}",
        f"{member['held_out']:.1%}",
        f"{100 * (member['held_out'] - member['searched']):+.1f} points",
    ]


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [columns, ["---"] * len(columns), *rows]
    return ["| " + " | ".join(row) + " |" for row in cells]
