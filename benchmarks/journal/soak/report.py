"""What a soak says: a line for a run, a table at the end, and a page to keep."""

from __future__ import annotations

import datetime
import os
import platform
import sqlite3
from collections import Counter
from collections.abc import Sequence

from benchmarks.journal.soak.chain import Run
from nemo_lab.study.provenance import versions

SAID = """# Steered, killed and made again

`python -m benchmarks.journal.soak --minutes {minutes:g} --seed {seed}`. A run is a chain of processes on
one journal. In each, two or three threads steer at random (every command there is; pause, resume, stop
and start among them) while one to three workers evaluate; all but the last are ended by SIGKILL at a
random moment. In most of them something else goes wrong on purpose. After each, the run is made again in
three ways: resumed from the journal, from the record alone without the stored state of the search, and
by `to_script()`. The first two then go on for a while, too. All tables must be the same to the last bit,
and have all that was ever shown as stored.

"""


def line(run: Run) -> str:
    """One run, on one line."""
    faults = ", ".join(f"{count} {kind}" for kind, count in sorted(run.faults.items()) if count)
    return (
        f"run {run.number:3d}  {run.problem}, {run.workers} workers: {run.kills} kills, "
        f"{run.evaluations} evaluations, {run.interventions} interventions, {run.checks} checks, "
        f"slowest resume {run.slowest:.1f} s"
        f"{'; ' + faults if faults else ''}{'  WRONG' if run.wrong else ''}"
    )


def table(runs: Sequence[Run]) -> str:
    """All runs together, as Markdown."""
    faults: Counter[str] = sum((run.faults for run in runs), Counter())
    rows = [
        ("runs", len(runs)),
        *((f"... with {count} workers", sum(run.workers == count for run in runs)) for count in (1, 2, 3)),
        ("... of digits", sum(run.problem == "digits" for run in runs)),
        ("kills", sum(run.kills for run in runs)),
        ("evaluations", sum(run.evaluations for run in runs)),
        ("interventions", sum(run.interventions for run in runs)),
        *((f"fault: {kind}", count) for kind, count in sorted(faults.items())),
        ("made again in every way", sum(run.checks for run in runs)),
        ("slowest resume", f"{max((run.slowest for run in runs), default=0.0):.1f} s"),
        ("**lost**", f"**{sum(run.lost for run in runs)}**"),
        ("**runs with anything wrong**", f"**{sum(bool(run.wrong) for run in runs)}**"),
    ]
    return "\n".join(
        ["| what | how many |", "| --- | --- |", *(f"| {what} | {count} |" for what, count in rows)]
    )


def page(runs: Sequence[Run], minutes: float, seed: int) -> str:
    """The page that is kept in the repository."""
    date = datetime.datetime.now(tz=datetime.UTC).date()
    known = ", ".join(f"{name} {one}" for name, one in versions().items())
    where = f"{date}, {os.cpu_count()} cores; {known}, SQLite {sqlite3.sqlite_version}, {platform.system()}."
    return f"{SAID.format(minutes=minutes, seed=seed)}{where}\n\n{table(runs)}\n"
