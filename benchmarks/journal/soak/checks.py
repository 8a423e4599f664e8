"""A run made again in every way: from the journal as it stands, from its record alone, by its script."""

from __future__ import annotations

import contextlib
import io
import os
import random
import shutil
import sqlite3
import time
import traceback
from collections.abc import Iterator
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

import nemo_lab as nl
from benchmarks.journal.soak.child import Plan, opened, prepare, problem_of, table
from benchmarks.journal.soak.told import Told, check_sum
from nemo_lab.study import studies

FURTHER = 20  # evaluations that are made after a resume, which tell whether the search itself is the same


def check(plan: Plan, seen: list[tuple[int, int, int]], folder: Path, connection: Connection) -> None:
    """Make a run again in every way, and tell what differs.

    Args:
        plan: of the run, whose journal nobody has open.
        seen: what was shown as stored: evaluations, their check sum, interventions.
        folder: where copies may be put.
        connection: takes what is told.
    """
    told = prepare(connection, plan.path.parent / "errors")
    random.seed(plan.chance)
    try:
        with copied(plan.path, folder / "whole") as whole, copied(plan.path, folder / "record") as record:
            if seen or len(studies(whole)):  # else it was killed before there was a study
                compare(plan, whole, record, seen, told)
        told("checked")
    except BaseException:
        told("odd", traceback.format_exc())
    finally:
        os._exit(0)


def compare(plan: Plan, whole: Path, record: Path, seen: list[tuple[int, int, int]], told: Told) -> None:
    began = time.monotonic()
    with closing(opened(whole, plan, quick=True)) as study:
        told("resumed", time.monotonic() - began)
        told("found", len(study.snapshot.evaluations), len(study.snapshot.record))
        for what in lost(study, seen):
            told("lost", *what)
        resumed, steered, script = table(study), study.interventions(), study.to_script()
        onward = going_on(study)
    forget_the_state(record)
    with closing(opened(record, plan, quick=True)) as study:
        for column in differing(resumed, table(study)):
            told("differs", f"from the journal alone: {column}")
        if not steered.equals(study.interventions()):
            told("differs", "from the journal alone: interventions")
        for column in differing(onward, going_on(study)):
            told("differs", f"going on from the journal alone: {column}")
    for column in differing(resumed, table(by_script(script, plan))):
        told("differs", f"by the script: {column}")


def lost(study: nl.Study, seen: list[tuple[int, int, int]]) -> Iterator[tuple[str, int]]:
    """What was shown as stored, and is not there or is something else: what, and how many."""
    log, steered = study.snapshot.evaluations, len(study.snapshot.record)
    sums, last = {0: 0}, 0
    for count in sorted({one[0] for one in seen}):
        if count <= len(log):
            sums[count], last = check_sum(log, last, count, sums[last]), count
    most = max((one[0] for one in seen), default=0)
    if most > len(log):
        yield "evaluations", most - len(log)
    changed = [count for count, found, _ in seen if sums.get(count, found) != found]
    if changed:
        yield "evaluations that became others, first", min(changed)
    most = max((one[2] for one in seen), default=0)
    if most > steered:
        yield "interventions", most - steered


def going_on(study: nl.Study) -> dict[str, np.ndarray]:
    """The table after further evaluations."""
    study.optimize(FURTHER, progress=False)
    return table(study)


def differing(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> Iterator[str]:
    """Columns that differ, with the first row that does."""
    for name, column in one.items():
        if len(column) != len(other[name]):
            yield f"{len(column)} and {len(other[name])} evaluations"
            return
        rows = np.flatnonzero((column != other[name]).any(axis=tuple(range(1, column.ndim))))
        if len(rows):
            yield f"{name} from evaluation {rows[0]}"


def by_script(script: str, plan: Plan) -> nl.Study:
    """The study that the script of another makes."""
    made: dict[str, Any] = {"PROBLEM": problem_of(plan, quick=True)}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        exec(compile(script.replace("problem = ...", "problem = PROBLEM"), "script", "exec"), made)
    study: nl.Study = made["study"]
    return study


@contextlib.contextmanager
def copied(path: Path, folder: Path) -> Iterator[Path]:
    """A copy of a journal that nobody has open, with what lies beside it."""
    folder.mkdir(parents=True)
    try:
        for part in ("", "-wal"):
            if os.path.exists(f"{path}{part}"):
                shutil.copy(f"{path}{part}", folder)
        yield folder / path.name
    finally:
        shutil.rmtree(folder)


def forget_the_state(path: Path) -> None:
    """Leave only the record of what was evaluated and asked for."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM checkpoints")
        connection.commit()
