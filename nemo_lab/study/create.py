"""From a name, a workload or a problem to a study."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping, Sequence
from typing import Any

from nemo_lab.errors import ArgumentError, UnknownNameError
from nemo_lab.search import Problem, SearchOptions
from nemo_lab.search.objective import constant
from nemo_lab.search.presets import PRESETS
from nemo_lab.search.species import make_species
from nemo_lab.study.journal import Header, Journal, StoredProblem
from nemo_lab.study.parsing.budget import checked_whole
from nemo_lab.study.provenance import as_problem, fingerprint, versions
from nemo_lab.study.run.notices import notice
from nemo_lab.study.study import Study


def create_study(
    problem: Any,
    *,
    seed: int = 0,
    preset: str = "default",
    species: Sequence[Any] | None = None,
    population: int | None = None,
    constraints: Sequence[str] = (),
    aspiration: Mapping[str, Any] | None = None,
    workers: int = 1,
    storage: str | os.PathLike[str] | None = None,
    name: str | None = None,
    **options: Any,
) -> Study:
    """A study that is ready to ``start`` or ``optimize``.

    Args:
        problem: name of a workload in the zoo, a ``Workload`` that came with data, or any problem.
        seed: same seed and same steers give bit-identical evaluations.
        preset: ``"default"``, or ``"paper"`` for the search of arXiv 2106.07611 to the letter.
        species: names, or classes and objects of your own; the preset's by default.
        population: members of all species together.
        constraints: as for ``Study.constrain``.
        aspiration: objective -> largest value or (smallest, largest), as for ``Study.aspire``.
        workers: evaluations made at once, each in a thread; they change nothing but the time. A
            ``QuantizationProblem`` makes one at a time, and uses its own ``threads``.
        storage: an SQLite file, such as ``"run.sqlite"``, to which everything is written as it happens, so
            that ``load_study`` can go on with it. It may hold several studies, and what is in it already for
            the same workload, data and settings is not evaluated again.
        name: of the study in the file; ``"study 1"`` and so on by default.
        **options: further constants of the search, see ``nemo_lab.search.SearchOptions``.

    Raises:
        UnknownNameError: on an unknown workload, species or option.
        ArgumentError, DataError: on anything else that cannot be used.
        StorageError: if the file cannot be written.

    Warns:
        NemoWarning: if an objective is the same for every configuration: the search leaves it out.

    >>> study = create_study("digits", seed=1, population=8, min_size=2)
    >>> study.optimize(16, progress=False).state
    'finished'
    >>> len(study.evaluations())
    16
    """
    problem, recipe = as_problem(problem)
    same = [one.name for one in constant(problem)]
    seed = checked_whole("seed", seed, 0)
    if preset not in PRESETS:
        raise UnknownNameError("preset", preset, PRESETS)
    chosen = PRESETS[preset]
    workers = checked_whole("workers", workers, 1)
    if population is not None:
        options["population"] = population
    made = SearchOptions.make(**{**chosen.options, **options})
    wanted = chosen.species if species is None else species
    wanted = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    journal = None
    if storage is not None:
        journal = _journal(storage, name, problem, recipe, seed, wanted, made, workers)
    elif name is not None:
        raise ArgumentError(f"name={name!r} without storage", "add storage='run.sqlite'")
    study = Study(
        problem, seed=seed, species=wanted, options=made, workers=workers, journal=journal, recipe=recipe
    )
    if same:
        notice(
            f"the same for every configuration: {', '.join(same)}; search and figures leave out what cannot "
            "vary, tables keep it"
        )
    if constraints:
        study.constrain(*((constraints,) if isinstance(constraints, str) else constraints))
    if aspiration:
        study.aspire(**aspiration)
    return study


def _journal(
    storage: str | os.PathLike[str],
    name: str | None,
    problem: Problem,
    recipe: Mapping[str, Any] | None,
    seed: int,
    species: Sequence[Any],
    options: SearchOptions,
    workers: int,
) -> Journal:
    if name is not None and (not isinstance(name, str) or not name.strip()):
        raise ArgumentError(f"name={name!r}", "give a text, or leave it out")
    header = Header(
        name=name or "",
        seed=seed,
        species=tuple(one.name for one in make_species(species, problem, options)),
        options=vars(options),
        workers=workers,
        problem=StoredProblem.of(problem),
        recipe=recipe,
        fingerprint=fingerprint(problem),
        versions=versions(),
        created=datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds"),
    )
    return Journal.create(storage, header)
