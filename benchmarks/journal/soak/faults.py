"""What goes wrong with the disk and the file below a run, done to it by the process itself."""

from __future__ import annotations

import errno
import os
import random
import resource
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import nemo_lab as nl
from benchmarks.journal.soak.steering import AT_REST, attempt, row
from benchmarks.journal.soak.told import Told, Trouble
from nemo_lab.errors import StorageError
from nemo_lab.study import studies

PATIENCE = 60.0  # seconds, on a machine that is busy
BLOCK = 1 << 16


@contextmanager
def small_files(path: Path, rng: random.Random) -> Iterator[None]:
    """This process may write no file beyond a size, as the shell's ``ulimit -f`` has it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    sizes = [os.path.getsize(one) for one in (path, Path(f"{path}-wal")) if one.exists()]
    resource.setrlimit(resource.RLIMIT_FSIZE, (rng.choice([0, 4096, *sizes]), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def full_disk(path: Path, rng: random.Random) -> Iterator[None]:
    """Not a byte is free on the disk, which is one of our own."""
    filler = filler_beside(path)
    try:
        with filler.open("wb", buffering=0) as file:
            block = BLOCK
            while block:
                try:
                    file.write(b"x" * block)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    block //= 2
        yield
    finally:
        filler.unlink(missing_ok=True)


def filler_beside(path: Path) -> Path:
    """The file that fills the disk, which a killed process leaves there."""
    return path.parent / "filler"


OUTAGES: dict[str, Callable[[Path, random.Random], AbstractContextManager[None]]] = {
    "small files": small_files,
    "full disk": full_disk,
}


def no_room(
    study: nl.Study,
    rng: random.Random,
    told: Told,
    trouble: Trouble,
    kind: str,
) -> None:
    """For a while nothing can be written; afterwards the run has to go on, and to store all of it."""
    path = Path(study.journal.path)
    with trouble.expected():
        with OUTAGES[kind](path, rng):
            time.sleep(rng.uniform(0.05, 0.8))
        attempt(lambda: study.what_if(row(study, rng)), told, trouble)  # comes after what is being written
        made, until = len(study.snapshot.evaluations), time.monotonic() + PATIENCE
        while stored(path) < made:
            if time.monotonic() > until:
                told("odd", f"there is room again, and the run does not go on: {study.snapshot.error}")
                return
            if study.state == "paused":
                attempt(study.resume, told, trouble)
            if study.state in AT_REST:
                attempt(lambda: study.start(20), told, trouble)
            time.sleep(0.01)
    told("did", kind)


def stored(path: Path) -> int:
    """How many evaluations a file has."""
    return int(studies(path)["evaluations"].iloc[-1])


def moved(path: Path) -> None:
    os.rename(path, path.with_name(f"elsewhere-{path.name}"))


def deleted(path: Path) -> None:
    os.remove(path)


def replaced(path: Path) -> None:
    """By a copy, as a tool does that synchronises folders."""
    copy = path.with_name(f"copy-{path.name}")
    shutil.copy(path, copy)
    os.replace(copy, path)


def shortened(path: Path) -> None:
    os.truncate(path, os.path.getsize(path) // 2)


def log_deleted(path: Path) -> None:
    os.remove(f"{path}-wal")


def log_shortened(path: Path) -> None:
    """To nothing, unless that is what it is while the run rests, and nothing would be lost."""
    if not os.path.getsize(f"{path}-wal"):
        raise FileNotFoundError
    os.truncate(f"{path}-wal", 0)


def all_deleted(path: Path) -> None:
    for one in path.parent.glob(f"{path.name}*"):
        one.unlink()


LOSSES: dict[str, Callable[[Path], None]] = {
    "moved": moved,
    "deleted": deleted,
    "replaced": replaced,
    "shortened": shortened,
    "log deleted": log_deleted,
    "log shortened": log_shortened,
    "all deleted": all_deleted,
}


def lose_the_file(study: nl.Study, rng: random.Random, told: Told, trouble: Trouble, kind: str) -> None:
    """Something happens to the file: the run has to say so, and to go on in another with all it has."""
    path = Path(study.journal.path)
    told("losing")
    trouble.on, trouble.times = True, trouble.times + 1
    try:
        LOSSES[kind](path)
    except FileNotFoundError:  # all of the log is in the file already
        LOSSES["deleted"](path)
    until = time.monotonic() + PATIENCE
    while not told_of(study, rng, told, trouble):
        if time.monotonic() > until:
            told("odd", f"{kind}: for {PATIENCE:.0f} seconds nobody was told that nothing is stored any more")
            return
        time.sleep(0.01)
    other = path.with_name(f"{path.stem}-{rng.randrange(10**6)}.sqlite")
    made = len(study.snapshot.evaluations)
    while (error := attempt(lambda: study.save_as(other), told, trouble)) is not None:
        if time.monotonic() > until:
            told("odd", f"save_as after {kind}: {error}")
            return
    if stored(other) < made:
        told("odd", f"save_as after {kind}: not all of it is in the new file")
    told("saved", other.name)
    told("did", f"file {kind}")
    trouble.on, trouble.times = False, trouble.times + 1


def told_of(study: nl.Study, rng: random.Random, told: Told, trouble: Trouble) -> bool:
    """Whether a caller is told that nothing can be written."""
    if study.state == "paused":
        attempt(study.resume, told, trouble)
    if study.state in AT_REST:
        if "StorageError" in (study.snapshot.error or ""):
            return True
        error = attempt(lambda: study.start(20), told, trouble)
    else:
        error = attempt(lambda: study.pin(study.problem.node_names[0], 3), told, trouble)
    return isinstance(error, StorageError)
