"""The study: one run of the search, as people hold it in their hands."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from nemo_lab.arguments import Flag
from nemo_lab.closing import when_collected
from nemo_lab.files import write_text
from nemo_lab.search import Engine, Problem, SearchOptions
from nemo_lab.search.constraints import Width
from nemo_lab.study.configurations import Configurations
from nemo_lab.study.delegation import delegated, writing
from nemo_lab.study.inherited import NO_NETWORKS, Inherited
from nemo_lab.study.journal import Journal
from nemo_lab.study.keeping import Described, Keeping, NotCopied
from nemo_lab.study.parsing.species import SpeciesMaker
from nemo_lab.study.results.frames import study_html
from nemo_lab.study.results.script import Beginning, script
from nemo_lab.study.results.snapshot import Snapshot, SpeciesInfo, State
from nemo_lab.study.results.tables import Tables
from nemo_lab.study.results.validation import Validation
from nemo_lab.study.run.elsewhere import Executor
from nemo_lab.study.run.notices import notice
from nemo_lab.study.run.progress_bar import ProgressBar
from nemo_lab.study.run.runner_of import runner_of
from nemo_lab.study.running import Running
from nemo_lab.study.species_steering import SpeciesSteering
from nemo_lab.study.steering import Steering
from nemo_lab.study.validating import Validating


class Study(NotCopied):
    """One run of the search over a problem; ``create_study`` makes it.

    Methods return at once unless they say otherwise, and may be called from any thread. It is made of parts:
    a runner, which owns the search; how it is run and steered; and tables of what was found.

    Attributes:
        problem, seed, options: as for ``create_study``.
        transferred: the graph networks that it has taken over from other studies.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        seed: int,
        species: Sequence[Any],
        options: SearchOptions,
        workers: int = 1,
        executor: Executor | None = None,
        described: Described,
        journal: Journal | None = None,
        own_species: Mapping[str, Any] | None = None,
        recipe: Mapping[str, Any] | None = None,
        inherited: Inherited = NO_NETWORKS,
    ) -> None:
        self.problem, self.seed, self.options, self._recipe = problem, seed, options, recipe
        self.transferred = inherited
        maker = SpeciesMaker(problem, options, own_species or {}, inherited.networks)

        def engine() -> Engine:
            return Engine(problem, maker.all(species), options, seed)

        recorder, runner = runner_of(journal, engine, maker.named, workers, executor)
        self._runner = runner
        self._keeping = Keeping(runner, recorder, described)
        self._running = Running(runner)
        self._steering = Steering(problem, runner)
        self._configurations = Configurations(problem, runner)
        self._species = SpeciesSteering(runner, maker)
        self._tables = Tables(problem, lambda: runner.snapshot)
        when_collected(self, runner.abandon)
        self._validating = Validating(problem, runner)

    # running

    def optimize(
        self,
        evaluations: int | None = None,
        *,
        until: int | None = None,
        minutes: float | None = None,
        stop_when: str | tuple[float, int] | None = None,
        progress: bool = True,
    ) -> Study:
        """Run to the end of a budget, with a progress bar; Ctrl-C stops it as ``stop`` does.

        Args:
            evaluations: how many more; what is left of the last budget, or 500, by default; no limit with
                ``minutes`` or ``stop_when``.
            until: how many in all, instead.
            minutes: of running after which it ends, pauses not counted, with the evaluation in flight.
            stop_when: ``"stalled"``: once the hypervolume grew by less than 0.1 % of itself over the last 100
                evaluations of this run; or another share and number, such as ``(0.002, 200)``. A steer
                begins the count anew.
            progress: whether to show the bar.

        Raises:
            StudyStateError: if a run is on.
            EvaluationError: if an evaluation failed; what came before is kept.
        """
        self._runner.check_writable()
        bar = ProgressBar(shown=Flag().check("progress", progress))
        try:
            self.start(evaluations, until=until, minutes=minutes, stop_when=stop_when)
            bar.wait(self._runner)
        except KeyboardInterrupt:
            self.stop()
            self._runner.wait(through_pauses=True)
        self._runner.raise_failure()
        if self.snapshot.exhausted:
            notice("every configuration has been evaluated: there is nothing left to search")
        return self

    start = writing("_running", Running.start)
    prepare = writing("_running", Running.prepare)
    pause = writing("_running", Running.pause)
    resume = writing("_running", Running.resume)
    stop = delegated("_running", Running.stop)
    close = delegated("_running", Running.close)
    wait = delegated("_running", Running.wait)

    save_as = writing("_keeping", Keeping.save_as)
    backup = delegated("_keeping", Keeping.backup)

    @property
    def journal(self) -> Journal | None:
        """The journal that it is in, if it is in one."""
        return self._keeping.journal

    @property
    def snapshot(self) -> Snapshot:
        """The latest frozen picture of the run."""
        return self._runner.snapshot

    @property
    def state(self) -> State:
        """``"idle"``, ``"running"``, ``"paused"``, ``"stopping"``, ``"finished"`` or ``"failed"``."""
        return self.snapshot.state

    @property
    def following(self) -> bool:
        """Whether another process runs it, and this one only looks."""
        return self._runner.following

    listen = delegated("_running", Running.listen)
    forget = delegated("_running", Running.forget)

    # steering

    pin = writing("_steering", Steering.pin)
    unpin = writing("_steering", Steering.unpin)
    positions = delegated("_steering", Steering.positions)
    constrain = writing("_steering", Steering.constrain)
    aspire = writing("_steering", Steering.aspire)
    enqueue = writing("_configurations", Configurations.enqueue)
    set_budget = writing("_steering", Steering.set_budget)
    undo = writing("_steering", Steering.undo)
    redo = writing("_steering", Steering.redo)
    what_if = writing("_configurations", Configurations.what_if)
    sensitivity = writing("_configurations", Configurations.sensitivity)
    reseed = writing("_species", SpeciesSteering.reseed)
    add_species = writing("_species", SpeciesSteering.add_species)
    remove_species = writing("_species", SpeciesSteering.remove_species)
    freeze = writing("_species", SpeciesSteering.freeze)
    share = writing("_species", SpeciesSteering.share)
    controls = delegated("_species", SpeciesSteering.controls)

    @property
    def species(self) -> tuple[SpeciesInfo, ...]:
        """All that ever took part; a number of one in ``snapshot`` is its position here."""
        return self.snapshot.species

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of nodes that ``pin`` and ``positions`` know."""
        return self._steering.kinds

    @property
    def pins(self) -> dict[str, Width]:
        """What was pinned, also a moment ago: node name -> bit-width, or (lowest, highest)."""
        return self._steering.pins

    @property
    def constraints(self) -> dict[str, float]:
        """What was constrained, also a moment ago: objective -> largest value allowed."""
        return self._steering.constraints

    @property
    def aspiration(self) -> dict[str, tuple[float, float]]:
        """The box that was asked for, also a moment ago: objective -> (smallest, largest)."""
        return self._steering.aspiration

    # results

    front = delegated("_tables", Tables.front)
    evaluations = delegated("_tables", Tables.evaluations)
    history = delegated("_tables", Tables.history)
    interventions = delegated("_tables", Tables.interventions)
    progress = delegated("_tables", Tables.progress)
    config = delegated("_tables", Tables.config)

    def to_script(self, path: str | os.PathLike[str] | None = None) -> str:
        """The text of a plain Python file that makes this run again, bit for bit, interventions included.

        With a path it is written there, too.
        """
        beginning = Beginning(
            self.title, self.problem, self.seed, self.options, self._recipe, self.transferred
        )
        text = script(beginning, self.snapshot)
        if path is not None:
            write_text(text, path)
        return text

    validate = delegated("_validating", Validating.validate)
    smallest = delegated("_validating", Validating.smallest)
    note_files = delegated("_validating", Validating.note_files)

    @property
    def validated(self) -> dict[int, Validation]:
        """What was measured on held-out examples, by config id."""
        return self._validating.validated

    @property
    def tuned(self) -> dict[int, Validation]:
        """What was measured on held-out examples after tuning, by config id."""
        return self._validating.tuned

    @property
    def written(self) -> dict[int, dict[str, int]]:
        """Files of this session, as of ``deploy``: config id -> name of each -> its bytes."""
        return self._validating.written

    @property
    def title(self) -> str:
        """What the problem is called: its own title, the workload's name, or its class."""
        return str(self.problem.title)

    def _repr_html_(self) -> str:
        return study_html(self.snapshot, f"study of {self.title}", self.front())

    def __repr__(self) -> str:
        snapshot = self.snapshot
        return f"<Study of {self.title}: {snapshot.state}, {len(snapshot.evaluations)} evaluations>"
