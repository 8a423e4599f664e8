"""Runs -> a Markdown page, one section for each workload."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import nemo_lab as nl
from benchmarks.search.held_out import Member

if TYPE_CHECKING:
    from benchmarks.search.run import Run

HEADER = """# Search quality at equal numbers of evaluations

Normalised hypervolume (larger is better, at most 1) of the non-dominated configurations among the
first so many evaluator calls; objectives are task error, model ratio and bit-operation ratio, scaled by
the problem's `objective_bounds`. Every method calls the same evaluator, one configuration at a time,
without a cache, so a repeated configuration costs a call. Mean over seeds, minimum to maximum in
brackets. Times are wall times on one thread, on cores that other work shared: read them as an order
of magnitude.
"""


def section(
    workload: nl.Workload,
    runs: Sequence[Run],
    members: Sequence[Member],
    checkpoints: Sequence[int],
    command: str,
) -> str:
    """The section of one workload, heading included."""
    methods = list(dict.fromkeys(run.method for run in runs))
    lines = [f"## {workload.name}", "", f"`{command}`", "", _machine(), ""]
    lines += _table(
        [
            "method",
            "runs",
            *(f"at {count}" for count in checkpoints),
            "distinct of calls",
            "evaluator ms / call",
            "overhead ms / call",
        ],
        [_row([run for run in runs if run.method is method]) for method in methods],
    )
    lines += ["", *(f"- {method.title}: {method.note}." for method in methods)]
    if members:
        assert workload.data is not None
        searched, unseen = len(workload.data.search), len(workload.data.held_out)
        lines += [
            "",
            f"Accuracy searched ({searched} images) and on {unseen:,} held-out images: members of the front "
            "of NEMO's first run with a task error below 0.5, evenly spread over the model ratio.",
            "",
        ]
        columns = ["", "model ratio", "bit-op ratio", "searched", "held out", "difference"]
        lines += _table(columns, [_member(member) for member in members])
    return "\n".join(lines) + "\n"


def write(path: Path, name: str, text: str) -> None:
    """Put the section of a workload into the page, in place of its earlier one."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    sections = {part.split("\n", 1)[0][3:]: part for part in re.split(r"(?m)^(?=## )", old)[1:]}
    sections[name] = text
    body = "\n".join(sections[key].rstrip("\n") + "\n" for key in sorted(sections))
    path.write_text(f"{HEADER}\n{body}", encoding="utf-8")


def _row(runs: Sequence[Run]) -> list[str]:
    values = np.array([run.hypervolume for run in runs])
    distinct = "{:,.0f} of {:,.0f}".format(*np.mean([(run.distinct, run.calls) for run in runs], axis=0))
    return [
        runs[0].method.title,
        str(len(runs)),
        *(_spread(column) for column in values.T),
        distinct,
        f"{np.mean([run.evaluator for run in runs]):.1f}",
        f"{np.mean([run.overhead for run in runs]):.2f}",
    ]


def _spread(values: np.ndarray) -> str:
    if len(values) == 1:
        return f"{values[0]:.4f}"
    return f"{values.mean():.4f} ({values.min():.4f} to {values.max():.4f})"


def _member(member: Member) -> list[str]:
    ratios = ("" if value is None else f"{value:.4f}" for value in (member.model_ratio, member.bitop_ratio))
    return [
        member.name,
        *ratios,
        f"{member.searched:.1%}",
        f"{member.held_out:.1%}",
        f"{100 * (member.held_out - member.searched):+.1f} points",
    ]


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [columns, ["---"] * len(columns), *rows]
    return ["| " + " | ".join(row) + " |" for row in cells]


def _machine() -> str:
    versions = ", ".join(
        f"{package} {importlib.metadata.version(package)}"
        for package in ("torch", "torch-geometric", "pymoo", "numpy", "numba", "moocore")
    )
    return (
        f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}, nemo_lab {nl.__version__}, "
        f"Python {platform.python_version()}, {versions}; {platform.machine()}, {os.cpu_count()} cores."
    )
