"""From a journal to a study: go on with it, or watch it."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import nemo_lab.search as search
from nemo_lab.arguments import File, Flag, OrNone, Text
from nemo_lab.errors import ArgumentError, StorageError
from nemo_lab.fields import unchecked
from nemo_lab.search import Problem, SearchOptions
from nemo_lab.search.problem import evaluate_one
from nemo_lab.search.species import NAMES, make_species
from nemo_lab.study.journal import Header, Journal
from nemo_lab.study.parsing.species import SPECIES
from nemo_lab.study.provenance import (
    EMBEDDED,
    as_problem,
    fingerprints,
    listed,
    reusable,
    same_python,
    versions,
)
from nemo_lab.study.run.elsewhere import OfExecutors
from nemo_lab.study.run.notices import notice
from nemo_lab.study.study import Study

NAME = OrNone(Text(words="the name of a study (what it searches goes into problem=)"))
LOGGER = logging.getLogger(__name__)


def load_study(
    path: str | os.PathLike[str],
    name: str | None = None,
    *,
    problem: Any = None,
    species: Sequence[Any] = (),
    executor: Any = None,
    read_only: bool = False,
) -> Study:
    """A study from its journal, ready to go on as if it had never been interrupted.

    Args:
        path: of the SQLite file, as given to ``create_study(storage=...)``.
        name: of the study; the newest in the file by default.
        problem: what it searches, as for ``create_study``; not needed for the embedded workloads.
        species: classes or objects of your own that it was created with.
        executor: where evaluations are made, as for ``create_study``; as many at once as it was created with.
        read_only: watch it instead, also while another process runs it.

    Raises:
        StorageError: if the file cannot be read, is written by another process, is of a newer version, of
            another version of the search (but with ``read_only``), or the workload, data or settings are not
            those of the journal; nor is the problem's code, where three of the journal's evaluations, made
            again, come out otherwise.
        UnknownNameError: if there is no such study.

    Warns:
        NemoWarning: if versions, or the code of the problem, differ from those of the journal.
    """
    path = File().check("path", path)
    name = NAME.check("name", name)
    given = SPECIES.check("species", listed(species))
    watching = Flag().check("read_only", read_only)
    executor = OrNone(OfExecutors()).check("executor", executor)
    journal = Journal.open(path, name, write=not watching, untouched=True)
    try:
        header = journal.header
        options = _options(header, watching, path)
        if not watching:
            _compare_engine(header, path)
        if watching and problem is None:
            found: Any = header.problem
        else:
            found = _problem(problem, header, path)
            forms = fingerprints(found)
            _compare(found, forms, journal, path)
            _compare_versions(header)
            journal.fingerprints = reusable(forms)
        if watching:
            own = {_name(one): one for one in given}
        else:
            own = {make_species([one], found, options)[0].name: one for one in given}
            _check_species(header, own, path)
        wanted = [own.get(one, one) for one in header.species]
        study = Study(
            found,
            seed=header.seed,
            species=wanted,
            options=options,
            workers=header.workers,
            executor=executor,
            described=lambda: (header, journal.fingerprints),
            journal=journal,
            own_species=own,
            recipe=header.recipe,
            inherited=header.inherited,
        )
        journal.take_up()
        return study
    except BaseException:
        journal.close()
        raise


def _problem(given: Any, header: Header, path: str) -> Problem:
    if given is not None:
        return as_problem(given)[0]
    workload = (header.recipe or {}).get("workload")
    if workload not in EMBEDDED:
        raise StorageError(
            f"the journal does not hold the network of {header.problem.title!r}",
            f"give it: load_study({path!r}, problem=...), or watch: read_only=True",
        )
    return as_problem(workload)[0]


def _check_species(header: Header, own: Mapping[str, Any], path: str) -> None:
    unknown = [name for name in header.species if name not in own and name not in NAMES]
    if unknown:
        raise StorageError(
            f"the journal of study {header.name!r} does not hold species {', '.join(unknown)}",
            f"give them: load_study({path!r}, species=[...]), or watch: read_only=True",
        )


def _name(species: Any) -> str:
    return str(getattr(species, "name", getattr(species, "__name__", species)))


def _options(header: Header, watching: bool, path: str) -> SearchOptions:
    """Those of the study; an option that came after it has its default."""
    known = [one.name for one in dataclasses.fields(SearchOptions)]
    unknown = [name for name in header.options if name not in known]
    if unknown:
        raise StorageError(
            f"study {header.name!r} has a search option {unknown[0]!r} that this nemo_lab does not know",
            "upgrade nemo_lab",
        )
    try:
        return SearchOptions.make(**header.options)
    except ArgumentError as error:
        if watching:  # as it was: nothing is searched with it
            return unchecked(SearchOptions, header.options)
        raise StorageError(
            f"study {header.name!r} was made with an option that is refused today: {error.message}",
            _instead(path),
        ) from error


def _instead(path: str) -> str:
    return (
        f"load_study({path!r}, read_only=True) shows it; create_study(problem, storage={path!r}) begins "
        "a new study in the same file, which takes over all evaluations"
    )


def _compare_engine(header: Header, path: str) -> None:
    if header.engine != search.ENGINE_VERSION:
        raise StorageError(
            f"study {header.name!r} was made by version {header.engine} of the search, this is version "
            f"{search.ENGINE_VERSION}: the continuation would differ",
            _instead(path),
        )


def _compare(problem: Problem, forms: Sequence[Mapping[str, str]], journal: Journal, path: str) -> None:
    header = journal.header
    then = dict(header.fingerprint)
    if not same_python(header.versions):  # the code cannot be compared; that versions differ is told
        then.pop("code", None)
    if then in forms:
        return
    now = forms[0]
    changed = [
        part for part in sorted({*now, *then}) if all(form.get(part) != then.get(part) for form in forms)
    ]
    if changed == ["code"] and _gives_the_same(problem, journal):
        notice(
            f"the code of the problem, or what it was made with, is not that of study {header.name!r}; some "
            "of its evaluations were made again and are the same, so it goes on"
        )
        return
    raise StorageError(
        f"the {' and the '.join(changed)} changed since study {header.name!r} was made: its evaluations "
        "do not hold for it",
        f"give what it was made with, or begin anew: create_study(..., storage={path!r})",
    )


def _gives_the_same(problem: Problem, journal: Journal) -> bool:
    """Whether a problem gives what the first, the middle and the last evaluation of a journal are."""
    log = journal.read().evaluations
    few = sorted({0, len(log) // 2, len(log) - 1}) if len(log) else []
    try:
        return all(np.array_equal(evaluate_one(problem, log.bits[row]), log.objectives[row]) for row in few)
    except Exception:  # whatever the problem raises: it does not give the same
        LOGGER.info("an evaluation of the journal cannot be made again", exc_info=True)
        return False


def _compare_versions(header: Header) -> None:
    now = versions()
    changed = [
        f"{part} {header.versions.get(part, 'none')} -> {now.get(part, 'none')}"
        for part in sorted({*now, *header.versions})
        if now.get(part) != header.versions.get(part)
    ]
    if changed:
        notice(
            f"study {header.name!r} was made with other versions ({', '.join(changed)}): "
            "what is evaluated from now on may differ in the last digit, or more"
        )
