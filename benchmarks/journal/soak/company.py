"""Other processes at the file of a run: some read it, one tries to write it, too."""

from __future__ import annotations

import os
import random
import time
import traceback
from contextlib import closing
from multiprocessing.connection import Connection

import nemo_lab as nl
from benchmarks.journal.soak.child import Plan, opened, prepare
from benchmarks.journal.soak.told import Told, check_sum
from nemo_lab.errors import StorageError
from nemo_lab.study import studies


def company(plan: Plan, writes: bool, connection: Connection) -> None:
    """Read a journal for a moment while another process writes it, or try to write it as well."""
    told = prepare(connection, plan.path.parent / "errors")
    try:
        if writes:
            intrude(plan, told)
        else:
            look(plan, told)
    except BaseException:
        told("odd", f"beside the run: {traceback.format_exc()}")
    finally:
        told("left")
        os._exit(0)


def intrude(plan: Plan, told: Told) -> None:
    try:
        with closing(opened(plan.path, plan)):
            told("odd", "a second process was let in to write")
    except StorageError:
        told("did", "second writer refused")


def look(plan: Plan, told: Told) -> None:
    """What is seen grows, and what was seen before stays; a copy is whole."""
    rng = random.Random(f"{plan.chance}/look")
    before = 0, 0
    with closing(nl.load_study(plan.path, read_only=True)) as study:
        until = time.monotonic() + rng.uniform(0.1, 1.0)
        while time.monotonic() < until:
            log = study.snapshot.evaluations
            if len(log) < before[0] or check_sum(log, 0, before[0]) != before[1]:
                told("odd", "what was read changed")
            before = len(log), check_sum(log, 0, len(log))
            listed = int(studies(plan.path)["evaluations"].iloc[-1])
            if listed < before[0]:
                told("odd", f"{listed} evaluations are listed, {before[0]} were read")
            time.sleep(0.01)
        told("did", "read meanwhile")
        copy = plan.path.with_name(f"backup-{rng.randrange(10**9)}.sqlite")
        study.backup(copy)
        with closing(opened(copy, plan, quick=True)) as copied:
            log = copied.snapshot.evaluations
            if len(log) < before[0] or check_sum(log, 0, before[0]) != before[1]:
                told("odd", "the copy is not what was read")
            told("did", "copied meanwhile")
