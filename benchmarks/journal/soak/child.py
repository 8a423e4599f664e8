"""One process of a chain: takes the run up, steers it, suffers a fault perhaps, and waits to be killed."""

from __future__ import annotations

import faulthandler
import os
import random
import signal
import sys
import threading
import time
import traceback
import warnings
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

import nemo_lab as nl
from benchmarks.journal.soak import faults
from benchmarks.journal.soak.problem import Rough
from benchmarks.journal.soak.steering import attempt, steer
from benchmarks.journal.soak.told import Stored, Told, Trouble
from nemo_lab.errors import NemoError, StorageError

SMALL = {"population": 16, "min_size": 2}
KEPT = ("bits", "objectives", "species", "origin", "generation")


@dataclass(frozen=True)
class Plan:
    """What a process is to do.

    Attributes:
        path: of the journal.
        digits: whether the embedded network is searched rather than the problem of the soak.
        workers, species, seed: of the study.
        chance: seed of all that is chosen in the process.
        seconds: for which it is steered, long if it is to be killed.
        raises, spoils: see ``Rough``.
        fault: what happens to the disk or the file, if anything.
    """

    path: Path
    digits: bool
    workers: int
    species: tuple[str, ...]
    seed: int
    chance: str = ""
    seconds: float = 0.0
    raises: float = 0.0
    spoils: float = 0.0
    fault: str = ""


def prepare(connection: Connection, errors: Path) -> Told:
    """What every process of the soak does first."""
    warnings.simplefilter("ignore")
    file = errors.open("a")
    os.dup2(file.fileno(), sys.stderr.fileno())
    faulthandler.enable(sys.stderr)
    faulthandler.register(signal.SIGUSR1, sys.stderr)  # so that one that hangs can be asked where
    return Told(connection.fileno())


def problem_of(plan: Plan, *, quick: bool) -> Any:
    """What is searched: quick and reliable to make a run again."""
    if plan.digits:
        return "digits"
    problem = Rough()
    if quick:
        problem.seconds = 0.0
    else:
        problem.raises, problem.spoils = plan.raises, plan.spoils
    return problem


def opened(path: Path, plan: Plan, *, quick: bool = False) -> nl.Study:
    """The study of a journal, ready to go on."""
    problem = problem_of(plan, quick=quick)
    return nl.load_study(path, problem=None if plan.digits else problem)


def begun(plan: Plan) -> nl.Study:
    return nl.create_study(
        problem_of(plan, quick=False),
        seed=plan.seed,
        storage=plan.path,
        workers=plan.workers,
        species=plan.species,
        **SMALL,
    )


def table(study: nl.Study) -> dict[str, np.ndarray]:
    """Every evaluation of a study: column -> array."""
    return {name: getattr(study.snapshot.evaluations, name) for name in KEPT}


def child(plan: Plan, connection: Connection) -> None:
    """Run one process of a chain; see ``Plan``."""
    told = prepare(connection, plan.path.parent / "errors")
    random.seed(plan.chance)
    try:
        live(plan, told)
    except BaseException:
        told("odd", traceback.format_exc())
    finally:
        os._exit(0)  # nothing is left to be done, and a thread that hangs is told of


def live(plan: Plan, told: Told) -> None:
    rng, began = random.Random(plan.chance), time.monotonic()
    try:
        study = opened(plan.path, plan)
        log = study.snapshot
        told("resumed", time.monotonic() - began, len(log.evaluations), len(log.record))
    except StorageError as error:  # killed before there was a study
        told("fresh", str(error))
        study = begun(plan)
    trouble = Trouble()
    study.listen(Stored(study, told, trouble))
    told("ready")
    until = time.monotonic() + plan.seconds
    threads = [
        threading.Thread(
            target=steer, args=(study, f"{plan.chance}/{number}", until, told, trouble), daemon=True
        )
        for number in range(rng.choice((2, 3)))
    ]
    for thread in threads:
        thread.start()
    suffer(study, plan.fault, rng, told, trouble, until)
    for thread in threads:
        thread.join(plan.seconds + faults.PATIENCE)
        if thread.is_alive():
            faulthandler.dump_traceback(sys.stderr)
            told("odd", "a thread that steers hangs")
            return
    end(study, plan, told, trouble)


def suffer(
    study: nl.Study, fault: str, rng: random.Random, told: Told, trouble: Trouble, until: float
) -> None:
    """Have there be no room now and then, or have the file be lost once, while the run is steered."""
    while fault and time.monotonic() < until:
        time.sleep(rng.uniform(0.0, 0.8))
        if fault in faults.LOSSES:
            faults.lose_the_file(study, rng, told, trouble, fault)
            return
        faults.no_room(study, rng, told, trouble, fault)


def end(study: nl.Study, plan: Plan, told: Told, trouble: Trouble) -> None:
    """Bring a run to rest, reliable again, and let go of it."""
    if isinstance(study.problem, Rough):
        study.problem.raises = study.problem.spoils = 0.0
    with suppress(NemoError):
        study.resume()
    study.stop()
    with suppress(NemoError):
        if not study.wait(faults.PATIENCE):
            told("odd", "stop did not end the run")
            return
    attempt(lambda: study.optimize(30, progress=False), told, trouble)
    log = study.snapshot
    told("done", len(log.evaluations), len(log.record), log.state)
    study.close()
