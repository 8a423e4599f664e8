"""From a journal to a study: go on with it, or watch it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from nemo_lab.errors import StorageError
from nemo_lab.search import Problem, SearchOptions
from nemo_lab.study.journal import Header, Journal
from nemo_lab.study.provenance import as_problem, fingerprint, versions
from nemo_lab.study.run.notices import notice
from nemo_lab.study.study import Study

EMBEDDED = ("digits", "fashion")  # what a file may ask for by name


def load_study(
    path: str | os.PathLike[str],
    name: str | None = None,
    *,
    problem: Any = None,
    species: Sequence[Any] = (),
    read_only: bool = False,
) -> Study:
    """A study from its journal, ready to go on as if it had never been interrupted.

    Args:
        path: of the SQLite file, as given to ``create_study(storage=...)``.
        name: of the study; the newest in the file by default.
        problem: what it searches, as for ``create_study``; not needed for the embedded workloads.
        species: classes or objects of your own that it was created with.
        read_only: watch it instead, also while another process runs it.

    Raises:
        StorageError: if the file cannot be read, is written by another process, is of a newer version, or
            the workload, data or settings are not those of the journal.
        UnknownNameError: if there is no such study.

    Warns:
        NemoWarning: if versions differ from those of the journal: results may, too.
    """
    journal = Journal.open(path, name, write=not read_only)
    try:
        header = journal.header
        if read_only and problem is None:
            found: Any = header.problem
        else:
            found = _problem(problem, header, path)
            _compare(fingerprint(found), header, path)
            _compare_versions(header)
        own = {_name(one): one for one in species}
        wanted = [own.get(one, one) for one in header.species]
        options = {key: tuple(v) if isinstance(v, list) else v for key, v in header.options.items()}
        return Study(
            found,
            seed=header.seed,
            species=wanted,
            options=SearchOptions.make(**options),
            workers=header.workers,
            journal=journal,
            own_species=own,
            recipe=header.recipe,
        )
    except BaseException:
        journal.close()
        raise


def _problem(given: Any, header: Header, path: Any) -> Problem:
    if given is not None:
        return as_problem(given)[0]
    workload = (header.recipe or {}).get("workload")
    if workload not in EMBEDDED:
        raise StorageError(
            f"the journal does not hold the network of {header.problem.title!r}",
            f"give it: load_study({str(path)!r}, problem=...), or watch: read_only=True",
        )
    return as_problem(workload)[0]


def _name(species: Any) -> str:
    return str(getattr(species, "name", getattr(species, "__name__", species)))


def _compare(now: Mapping[str, str], header: Header, path: Any) -> None:
    then = header.fingerprint
    changed = [part for part in sorted({*now, *then}) if now.get(part) != then.get(part)]
    if changed:
        raise StorageError(
            f"the {' and the '.join(changed)} changed since study {header.name!r} was made: its evaluations "
            "do not hold for it",
            f"give what it was made with, or begin anew: create_study(..., storage={str(path)!r})",
        )


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
