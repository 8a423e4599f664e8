"""From a name, a workload or a problem to a study."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import nemo_lab.search as search
from nemo_lab.arguments import Domain, File, Instance, OrNone, Several, Text, Whole
from nemo_lab.errors import ArgumentError, UnknownNameError
from nemo_lab.search import Problem, SearchOptions
from nemo_lab.search.objective import constant
from nemo_lab.search.presets import PRESETS
from nemo_lab.study.bit_maps.reading import starts
from nemo_lab.study.inherited import NO_NETWORKS
from nemo_lab.study.journal import Header, StoredProblem
from nemo_lab.study.parsing.objectives import ObjectiveNames
from nemo_lab.study.parsing.species import SPECIES
from nemo_lab.study.provenance import as_problem, fingerprints, listed, reusable, versions
from nemo_lab.study.run.elsewhere import OfExecutors, workers_of
from nemo_lab.study.run.notices import notice
from nemo_lab.study.study import Study
from nemo_lab.study.transfer import inherited_from

SEED = Whole(0, 2**128 - 1, words="a whole number of at least 0, below 2**128")
WORKERS = Whole(1, 1024)
CONSTRAINTS: Domain[tuple[Any, ...]] = Several(Instance(object), words="texts such as 'task_error <= 0.05'")
ASPIRATION: Domain[Mapping[str, Any]] = Instance(
    Mapping,  # type: ignore[type-abstract]
    words="a mapping from objectives to a largest value, or (smallest, largest)",
)
Forms = tuple[dict[str, str], ...]


def create_study(
    problem: Any,
    *,
    seed: int = 0,
    preset: str = "default",
    species: Sequence[Any] | None = None,
    population: int | None = None,
    constraints: Sequence[str] = (),
    aspiration: Mapping[str, Any] | None = None,
    start_from: Any = None,
    transfer: Any = None,
    workers: int | None = None,
    executor: Any = None,
    storage: str | os.PathLike[str] | None = None,
    name: str | None = None,
    **options: Any,
) -> Study:
    """A study that is ready to ``start`` or ``optimize``.

    Args:
        problem: name of a workload in the zoo, a ``Workload`` that came with data, or any problem.
        seed: same seed and same interventions give bit-identical evaluations.
        preset: ``"default"``, which gets furthest; ``"teaching"``, in which species can be watched to compete
            for longer; or ``"paper"`` for the search of arXiv 2106.07611 to the letter.
        species: names, or classes and objects of your own; the preset's by default.
        population: members of all species together.
        constraints: as for ``Study.constrain``.
        aspiration: objective -> largest value or (smallest, largest), as for ``Study.aspire``.
        start_from: configurations that are known already, from another tool, a table or an earlier study:
            integers[Q] or [N, Q], name -> width as for ``Study.enqueue``, the path of a file that
            ``nemo_lab.export.load_bits`` or ``load_front`` reads, or several of these in a list. They are
            evaluated first, as part of the budget, and become members of the species: what
            ``study.enqueue(..., join=True)`` does, and listed as that in ``interventions()`` and the script.
        transfer: studies of other networks, or the paths of their files (the newest study in it, as it was
            when its run last rested), one or several in a list: the species ``gcn`` and ``unet`` begin with
            the graph networks that these have evolved, at most 48 each, in place of new ones. Weights go over
            by the names of the features that they read; a problem of your own says them by ``feature_names``.
            The options ``gnn_hidden``, ``gnn_position`` and ``gnn_edges`` have to be those of that search.
        workers: evaluations made at once, which change nothing but the time: one by default. Several of a
            ``QuantizationProblem`` are processes that end with the study, each with a copy of the problem
            and its ``threads``; several of a problem of your own are threads, unless ``one_at_a_time``.
        executor: where evaluations are made, if not in this process: any of ``concurrent.futures``, such as
            ``ProcessPoolExecutor(4)``, or Dask's ``client.get_executor()``; then ``workers`` are as many as
            it has by default. The problem travels once to each process. It is yours to shut down.
        storage: an SQLite file, such as ``"run.sqlite"``, to which everything is written as it happens, so
            that ``load_study`` can go on with it. It may hold several studies, and what is in it already for
            the same workload, data and settings is not evaluated again.
        name: of the study in the file; ``"study 1"`` and so on by default.
        **options: further constants of the search, see ``nemo_lab.search.SearchOptions``.

    Raises:
        UnknownNameError: on an unknown workload, species or option, or a node that ``start_from`` names.
        ArgumentError, DataError: on anything else that cannot be used, or too little memory for ``workers``.
        StorageError: if the file cannot be written.

    Warns:
        NemoWarning: if an objective is the same for every configuration: the search leaves it out.

    >>> study = create_study("digits", seed=1, population=8, min_size=2)
    >>> study.optimize(16, progress=False).state
    'finished'
    >>> len(study.evaluations())
    16
    """
    seed, workers = SEED.check("seed", seed), OrNone(WORKERS).check("workers", workers)
    executor = OrNone(OfExecutors()).check("executor", executor)
    workers = workers or (1 if executor is None else workers_of(executor))
    path, name = OrNone(File()).check("storage", storage), OrNone(Text()).check("name", name)
    if name is not None and path is None:
        raise ArgumentError(f"name={name!r} without storage", "add storage='run.sqlite'")
    if not isinstance(preset, str) or preset not in PRESETS:
        raise UnknownNameError("preset", preset, PRESETS)
    chosen = PRESETS[preset]
    if population is not None:
        options["population"] = population
    made = SearchOptions.make(**{**chosen.options, **options})
    wanted = chosen.species if species is None else SPECIES.check("species", listed(species))
    limits = CONSTRAINTS.check("constraints", listed(constraints))
    box = OrNone(ASPIRATION).check("aspiration", aspiration) or {}
    problem, recipe = as_problem(problem)
    known = None if start_from is None else starts(start_from, problem)
    inherited = NO_NETWORKS
    if transfer is not None:
        inherited = inherited_from(transfer, problem, wanted, made)
    same = [one.name for one in constant(problem)]
    objectives = ObjectiveNames(problem)
    objectives.limits(limits)
    objectives.box(box)
    created = datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds")
    forms_now = _asked_now(fingerprints, problem)  # what the problem holds may change before there is a file

    def described() -> tuple[Header, Sequence[Mapping[str, str]]]:
        forms = forms_now()
        header = Header(
            name=name or "",
            seed=seed,
            species=study.snapshot.begun_with,
            options=vars(made),
            workers=workers,
            problem=StoredProblem.of(problem),
            recipe=recipe,
            fingerprint=forms[0],
            versions=versions(),
            created=created,
            engine=search.ENGINE_VERSION,
            inherited=inherited,
        )
        return header, reusable(forms)

    study = Study(
        problem,
        seed=seed,
        species=wanted,
        options=made,
        workers=workers,
        executor=executor,
        described=described,
        recipe=recipe,
        inherited=inherited,
    )
    if same:
        notice(
            f"the same for every configuration: {', '.join(same)}; search and figures leave out what cannot "
            "vary, tables keep it"
        )
    if limits:
        study.constrain(*limits)
    if box:
        study.aspire(**box)
    if known is not None:
        study.enqueue(known, join=True)
    if path is not None:  # at the end: what is refused leaves nothing in a file
        study.save_as(path)
    return study


def _asked_now(ask: Callable[[Problem], Forms], problem: Problem) -> Callable[[], Forms]:
    """The answer to a question, asked now; what fails is raised only where the answer is wanted."""
    try:
        forms = ask(problem)
    except Exception:
        return lambda: ask(problem)
    return lambda: forms
