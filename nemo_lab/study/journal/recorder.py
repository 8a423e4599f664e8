"""Between a run and its journal: what to write when, and what is known already."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.errors import StorageError
from nemo_lab.search import Engine, Problem
from nemo_lab.search.species import Bits, OpaqueError
from nemo_lab.search.state import controls_saved, rules_saved, save
from nemo_lab.study.commands.search import Command, Prepare
from nemo_lab.study.journal import Checkpoint, Journal, Stored
from nemo_lab.study.results.snapshot import Intervention
from nemo_lab.study.run.evaluation import evaluate_all, evaluate_beside

PATIENCE = 400  # the engine's state may cost the run one part in so many of its time


def seen(steers: Sequence[Intervention]) -> tuple[Intervention, ...]:
    """Those that people made."""
    return tuple(one for one in steers if one.action != Prepare.action)


class Storage:
    """Keeps a run in a journal.

    Args:
        journal: to write to, None to keep nothing.
        stored: what it has, if it has anything.

    Attributes:
        steers: all of the run, with what people do not see: the candidates drawn up before one.
        reused: evaluations that were known, from the journal or since somebody asked, instead of being made.
    """

    def __init__(self, journal: Journal | None = None, stored: Stored | None = None) -> None:
        self.journal = journal
        self.steers: tuple[Intervention, ...] = () if stored is None else stored.steers
        self.interventions = seen(self.steers)
        self.reused = 0
        self._known = {} if journal is None else journal.measured()
        self._marked = (-1, -1)
        self._next = 0.0
        self._opaque = False

    def evaluate(self, problem: Problem, rows: Sequence[Bits]) -> Iterator[NDArray[np.float64]]:
        """Objectives of every configuration in its turn; those that are known cost nothing."""
        known = [self._known.get(bits.tobytes()) for bits in rows]
        fresh = evaluate_all(
            problem, [bits for bits, found in zip(rows, known, strict=True) if found is None]
        )
        for found in known:
            self.reused += found is not None
            yield next(fresh) if found is None else found

    def evaluate_beside(self, engine: Engine, asked: Callable[[], bool], bits: Bits) -> NDArray[np.float64]:
        """Objectives of a configuration that is no part of the run; what is known costs nothing.

        Left half-way once ``asked`` returns true.
        """
        log, key = engine.evaluations, bits.tobytes()
        made = np.flatnonzero((log.bits == bits).all(axis=1))
        if made.size:
            measured: NDArray[np.float64] = log.objectives[made[0]]
            return measured
        if key not in self._known:
            self._known[key] = evaluate_beside(engine.problem, asked, bits)
            if self.journal is not None:
                with contextlib.suppress(StorageError):  # it is the run's to tell of that
                    self.journal.answer(bits, self._known[key])
        return self._known[key]

    def note(self, engine: Engine, command: Command, detail: str) -> None:
        """Add a steer that took effect."""
        made = Intervention(len(engine.evaluations), command.action, detail, command.arguments)
        self.steers = (*self.steers, made)
        self.interventions = (*self.interventions, *seen([made]))

    def keep(self, engine: Engine, run: Mapping[str, Any], *, end: bool) -> None:
        """Store what is new; with the engine's state after a generation or a steer, and always at the end.

        Args:
            engine: between two evaluations.
            run: what it does not know: ``state``, ``error``, ``target``, ``seconds`` and ``rate``.
            end: whether the run rests now.

        Raises:
            StorageError: if it cannot be stored; the next call tries again.
        """
        if self.journal is None:
            return
        mark = (engine.generation, len(self.steers))
        now = time.perf_counter()
        due = not self._opaque and (end or (mark != self._marked and now >= self._next))
        checkpoint = None
        if due:
            try:
                checkpoint = Checkpoint(len(engine.evaluations), len(self.steers), save(engine))
            except OpaqueError:  # the run can be taken up all the same: all of it is gone through again
                self._opaque = True
        status = {
            **run,
            "generation": engine.generation,
            "allocation": [int(size) for size in engine.allocation],
            "species": [one.name for one in engine.species],
            "rules": rules_saved(engine.rules),
            "controls": controls_saved(engine.controls),
            "hypervolume": engine.hypervolume(),
            "waiting": engine.waiting,
            "exhausted": engine.exhausted,
        }
        self.journal.write(
            evaluations=engine.evaluations,
            history=engine.history,
            steers=self.steers,
            checkpoint=checkpoint,
            status=status,
        )
        if checkpoint is not None:
            done = time.perf_counter()
            self._marked, self._next = mark, done + PATIENCE * (done - now)

    def close(self) -> None:
        """Let go of the file."""
        if self.journal is not None:
            self.journal.close()
