"""One run of the soak: a chain of processes on one journal, each killed but the last."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.journal.soak.checks import check
from benchmarks.journal.soak.child import Plan, child
from benchmarks.journal.soak.company import company
from benchmarks.journal.soak.faults import LOSSES, PATIENCE, filler_beside
from benchmarks.journal.soak.process import Process
from benchmarks.journal.soak.steering import GRAPHS, QUICK

HANGS = 5 * PATIENCE  # seconds after which a process that should have ended is taken for one that hangs
ENDLESS = 3600.0
COMPANY = "others read and write"


@dataclass
class Run:
    """What came of a run.

    Attributes:
        number, workers, problem: of the run.
        kills: of its processes.
        faults: of each kind, how many.
        evaluations, interventions: at its end.
        lost: evaluations and interventions that were shown as stored, and are not there.
        slowest: seconds of the slowest resume.
        checks: how often it was made again in every way.
        wrong: what should not have happened.
    """

    number: int
    workers: int
    problem: str
    kills: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    evaluations: int = 0
    interventions: int = 0
    lost: int = 0
    slowest: float = 0.0
    checks: int = 0
    wrong: list[str] = field(default_factory=list)


class Chain:
    """Makes one run.

    Args:
        number, seed: of the run; all that is left to chance is drawn from both.
        disk: folder for its journal.
        folder: for copies of it.
        faults: kinds of faults that can be made here.
        until: moment of the monotonic clock after which only the last process is started.
    """

    def __init__(
        self, number: int, seed: int, disk: Path, folder: Path, faults: tuple[str, ...], until: float
    ) -> None:
        self._rng, self._folder, self._faults, self._until = (
            random.Random(f"{seed}/{number}"),
            folder,
            faults,
            until,
        )
        rng, digits = self._rng, number % 8 == 7
        self._plan = Plan(
            path=disk / "run.sqlite",
            digits=digits,
            workers=rng.choice((1, 1, 2, 3)),
            species=(*rng.sample(QUICK, rng.choice((2, 3))), *rng.sample(GRAPHS, rng.random() < 0.25)),
            seed=rng.randrange(10**6),
        )
        self._seen: list[tuple[int, int, int]] = []
        self._losing, self._name = False, self._plan.path.name  # whether its file is lost, and where it is
        self.run = Run(number, self._plan.workers, "digits" if digits else "rough")

    def make(self) -> Run:
        """Kill some processes, let the last one end, and make the run again after each."""
        kills = self._rng.choice((1, 2, 3, 4))
        for number in range(kills + 1):
            last = number == kills or time.monotonic() > self._until
            self._process(number, last)
            if self.run.wrong or not self._follow():
                break
            if not self._seen and not self._plan.path.exists():
                continue  # killed before there was anything
            self._end(Process(check, self._plan, self._seen, self._folder))
            if last or self.run.wrong:
                break
        return self.run

    def _process(self, number: int, last: bool) -> None:
        """One process on the journal, with others beside it perhaps."""
        rng = self._rng
        fault = rng.choice(("", "", *[COMPANY] * 2, *self._faults))
        plan = self._plan = replace(
            self._plan,
            chance=f"{self._plan.seed}/{number}",
            seconds=rng.uniform(0.5, 2.0) if last else ENDLESS,
            raises=rng.choice((0.0, 0.0, 0.003)),
            spoils=rng.choice((0.0, 0.0, 0.001)),
            fault="" if fault == COMPANY else fault,
        )
        early = rng.random() < 0.15  # perhaps before it has opened the journal, or while it has lost it
        sign = "saved" if fault in LOSSES else "ready"
        life = rng.uniform(0.0, 0.6) if early else rng.uniform(0.05, 2.5)
        process, began, sure = Process(child, plan), time.monotonic(), 0.0
        others: list[Process] = []
        while process.listen(0.005):
            if fault == COMPANY and not others and process.said("ready"):
                others = [Process(company, plan, writes) for writes in (False, True)]
            if early or process.said(sign):
                sure = sure or time.monotonic()
            intruding = bool(others) and others[-1].listen(0.0)
            if not last and not intruding and sure and time.monotonic() - sure > life:
                process.kill()
                self.run.kills += 1
                break
            if time.monotonic() - began > HANGS:
                break
        for one in (process, *others):
            self._end(one)

    def _end(self, process: Process) -> None:
        """Wait until a process has ended, and take in what it has told."""
        if not process.join(HANGS):
            self.run.wrong.append("a process hangs; the file of errors says where")
        if process.crashed:
            self.run.wrong.append(f"a process crashed by signal {process.crashed}")
        for what, values in process.heard:
            self._hear(what, values)

    def _hear(self, what: str, values: list[Any]) -> None:
        run = self.run
        match what:
            case "stored":
                self._seen.append((values[0], values[1], values[2]))
            case "resumed":
                run.slowest = max(run.slowest, values[0])
            case "fresh" if self._seen:
                run.wrong.append(f"the study is gone: {values[0]}")
            case "found":
                run.evaluations, run.interventions = values
            case "did":
                run.faults[values[0]] += 1
            case "lost":
                run.lost += values[1]
                run.wrong.append(f"lost: {values[1]} {values[0]}")
            case "checked":
                run.checks += 1
            case "losing":
                self._losing = True
            case "saved":
                self._losing, self._name = False, values[0]
            case "odd":
                run.wrong.append(values[0])

    def _follow(self) -> bool:
        """Go on where the process has saved the study; returns whether there is a journal to go on with."""
        path = self._plan.path
        filler_beside(path).unlink(missing_ok=True)
        self._plan = replace(self._plan, path=path.with_name(self._name))
        return not self._losing
