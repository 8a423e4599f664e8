"""The study: one run of the search, as people hold it in their hands."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nemo_lab.errors import ArgumentError, StudyStateError
from nemo_lab.search import Engine, Problem, SearchOptions
from nemo_lab.search.species import Species, make_species
from nemo_lab.study.commands.search import Prepare
from nemo_lab.study.journal import Journal
from nemo_lab.study.journal.recorder import Storage
from nemo_lab.study.journal.resume import taken_up
from nemo_lab.study.parsing.budget import budget, checked_whole
from nemo_lab.study.results import frames
from nemo_lab.study.results.progress import progress_frame
from nemo_lab.study.results.script import script
from nemo_lab.study.results.snapshot import Snapshot, State
from nemo_lab.study.results.validation import Validation, validate, validation_frame
from nemo_lab.study.run.follower import Watcher
from nemo_lab.study.run.notices import notice
from nemo_lab.study.run.worker import Worker
from nemo_lab.study.steering import Steering


class Study(Steering):
    """One run of the search over a problem; ``create_study`` makes it.

    Methods return at once unless they say otherwise, and may be called from any thread. How to steer:
    see ``nemo_lab.study.steering.Steering``.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        seed: int,
        species: Sequence[Any],
        options: SearchOptions,
        workers: int = 1,
        journal: Journal | None = None,
        own_species: Mapping[str, Any] | None = None,
        recipe: Mapping[str, Any] | None = None,
    ) -> None:
        self.problem = problem
        self.seed = seed
        self._own_species = dict(own_species or {})
        self._recipe = recipe
        self.options = options
        self.journal = journal

        def engine() -> Engine:
            return Engine(problem, make_species(species, problem, options), options, seed)

        if journal is not None and not journal.writable:
            worker: Worker | Watcher = Watcher(journal)
        else:
            stored = None if journal is None else journal.read()
            begun = stored is not None and (len(stored.evaluations) or stored.steers)
            made = taken_up(engine, stored, self.species_named) if stored and begun else engine()
            worker = Worker(made, workers, Storage(journal, stored), stored if begun else None)
        super().__init__(problem, worker)
        count = len(self.species) if journal is None else len(journal.header.species)
        self.begun_with = tuple(one.name for one in self.species[:count])
        self._cleanup = weakref.finalize(self, worker.abandon)
        self.validated: dict[int, Validation] = {}

    # running

    def optimize(
        self, evaluations: int | None = None, *, until: int | None = None, progress: bool = True
    ) -> Study:
        """Run to the end of a budget, with a progress bar; Ctrl-C stops it as ``stop`` does.

        Args:
            evaluations: how many more; what is left of the last budget, or 500, by default.
            until: how many in all, instead.
            progress: whether to show the bar.

        Raises:
            StudyStateError: if a run is on.
            EvaluationError: if an evaluation failed; what came before is kept.
        """
        from tqdm.auto import tqdm

        try:
            self.start(evaluations, until=until)
            snapshot = self.snapshot
            with tqdm(
                total=snapshot.target, initial=len(snapshot.evaluations), unit="eval", disable=not progress
            ) as bar:
                ended = False
                while not ended:
                    ended = self._worker.wait(0.1, through_pauses=True)
                    snapshot = self.snapshot
                    bar.update(len(snapshot.evaluations) - bar.n)
                    bar.set_postfix(
                        front=len(snapshot.front), hv=f"{snapshot.hypervolume:.3f}", refresh=False
                    )
        except KeyboardInterrupt:
            self.stop()
            self._worker.wait(through_pauses=True)
        self._worker.raise_failure()
        if self.snapshot.exhausted:
            notice("every configuration has been evaluated: there is nothing left to search")
        return self

    def start(self, evaluations: int | None = None, *, until: int | None = None) -> None:
        """Run in a background thread; arguments as for ``optimize``.

        After a failure it goes on with the evaluation that failed.

        Raises:
            StudyStateError: if a run is on.
            ArgumentError: on a budget that is not a positive whole number, or already spent.
        """
        self._worker.start(budget(evaluations, until, self.snapshot.target))

    def prepare(self, candidates: int = 0) -> None:
        """Make the first population now rather than when the run starts; blocks while it does.

        Args:
            candidates: how many to draw up already. ``to_script`` writes that where a run was stopped in the
                middle of so many evaluations, before a steer: the search had chosen them by then.
        """
        self._worker.post(Prepare(checked_whole("candidates", candidates, 0)))

    def pause(self) -> None:
        """Hold a run after the evaluation in flight, which is made to its end.

        Raises:
            StudyStateError: if none is on.
        """
        self._refuse_after_failure("pause")
        self._worker.pause()

    def resume(self) -> None:
        """Go on after a pause.

        Raises:
            StudyStateError: if the study is not paused.
        """
        self._refuse_after_failure("resume")
        self._worker.resume()

    def stop(self) -> None:
        """End a run without delay; ``start`` goes on later. Harmless if none is on.

        The evaluation in flight is left at its next batch of images (or where else the problem calls
        ``nemo_lab.check_interrupted``) and made again later: a run that was stopped gives the very
        evaluations of one that never was.
        """
        self._worker.stop()

    def close(self) -> None:
        """Stop, and let go of the journal, so that another process may go on with it. Blocks."""
        self._worker.close()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until no run is on, or it is paused.

        Args:
            timeout: seconds; no limit by default.

        Returns:
            whether that came before the timeout.

        Raises:
            EvaluationError: if the run failed.
        """
        ended = self._worker.wait(timeout)
        self._worker.raise_failure()
        return ended

    @property
    def state(self) -> State:
        """``"idle"``, ``"running"``, ``"paused"``, ``"stopping"``, ``"finished"`` or ``"failed"``."""
        return self.snapshot.state

    @property
    def watching(self) -> bool:
        """Whether another process runs it, and this one only looks."""
        return isinstance(self._worker, Watcher)

    def listen(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after every new snapshot, on the thread that made it; it must not block."""
        self._worker.listen(listener)

    def forget(self, listener: Callable[[], None]) -> None:
        """Take a listener back."""
        self._worker.forget(listener)

    # results

    def front(self) -> pd.DataFrame:
        """The Pareto front under the pins: one row per configuration, best first objective first.

        Columns: the objectives, all minimised, then species, generation and origin.
        """
        snapshot = self.snapshot
        frame = self._frame(snapshot, snapshot.front)
        return frame.sort_values(list(self.problem.objective_names), kind="stable")

    def evaluations(self, *, bits: bool = False) -> pd.DataFrame:
        """Every evaluation ever made, by config id; with ``bits`` also one column per node."""
        return self._frame(self.snapshot, bits=bits)

    def history(self) -> pd.DataFrame:
        """Per generation and species: R2, score, allocation, share of the front; hypervolume."""
        return frames.history_frame(self.snapshot)

    def interventions(self) -> pd.DataFrame:
        """Every hand steer, with the evaluation after which it took effect."""
        return frames.interventions_frame(self.snapshot)

    def to_script(self, path: str | os.PathLike[str] | None = None) -> str:
        """A plain Python file that makes this run again, bit for bit, steers included.

        Args:
            path: where to write it, if anywhere.

        Returns:
            its text.
        """
        text = script(self, self._worker.steers, self._recipe)
        if path is not None:
            try:
                Path(path).write_text(text, encoding="utf-8")
            except OSError as error:
                raise ArgumentError(f"cannot write {str(path)!r}: {error}", "give another path") from error
        return text

    def progress(self) -> pd.DataFrame:
        """Hypervolume and R2 after every evaluation that changed the front of all; see ``nl.compare``."""
        return progress_frame(self.problem, self.snapshot.evaluations)

    def validate(self, ids: Any = None, data: Any = None) -> pd.DataFrame:
        """Top-1 accuracy on images the search has never seen, with 95 % confidence intervals. Blocks.

        Args:
            ids: config ids; the front by default.
            data: as the problem's own; the workload's held-out images by default.

        Returns:
            per configuration ``searched`` (one minus the first objective), ``held_out``, ``low``, ``high``.
        """
        chosen = list(self.front().index if ids is None else np.atleast_1d(ids))
        bits = [self.config(i).to_numpy() for i in chosen]
        self.validated |= zip(chosen, validate(self.problem, bits, data), strict=True)
        self._worker.tell_listeners()
        return validation_frame(self.snapshot, self.validated, chosen)

    def config(self, config_id: int | np.integer[Any]) -> pd.Series[int]:
        """The bit-width of every node of an evaluated configuration; UnknownNameError if there is none."""
        return frames.config_series(self.snapshot, self.problem, config_id)

    def _frame(self, snapshot: Snapshot, rows: Any = None, *, bits: bool = False) -> pd.DataFrame:
        names = [one.name for one in self.species]
        return frames.evaluations_frame(snapshot, self.problem, names, rows, bits=bits)

    def species_named(self, name: str) -> Species:
        """A new species by name: the caller's own, or one of ours."""
        return make_species([self._own_species.get(name, name)], self.problem, self.options)[0]

    def _own(self, species: Any) -> Species:
        """A species of the caller's, which ``add_species`` by its name gives from now on."""
        made = make_species([species], self.problem, self.options)[0]
        self._own_species[made.name] = species
        return made

    def _refuse_after_failure(self, verb: str) -> None:
        snapshot = self.snapshot
        if snapshot.state == "failed" and snapshot.error:
            reason = snapshot.error.strip().splitlines()[-1]
            raise StudyStateError(f"cannot {verb}: the run failed: {reason}", "mend it and call start()")

    @property
    def title(self) -> str:
        """The workload's name, or the problem's title or class."""
        return str(self.problem.title)

    def _repr_html_(self) -> str:
        return frames.study_html(self.snapshot, f"study of {self.title}", self.front())

    def __repr__(self) -> str:
        snapshot = self.snapshot
        return f"<Study of {self.title}: {snapshot.state}, {len(snapshot.evaluations)} evaluations>"
