"""What a study takes over from others that searched another network: graph networks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nemo_lab.arguments import File
from nemo_lab.errors import ArgumentError, DataError, StorageError
from nemo_lab.search import Engine, Problem, SearchOptions
from nemo_lab.search.members import Member
from nemo_lab.search.problem import feature_names_of
from nemo_lab.search.roster import Roster
from nemo_lab.search.species import Genome, make_species
from nemo_lab.study.inherited import Inherited, Networks
from nemo_lab.study.journal import Journal, state_of
from nemo_lab.study.provenance import EMBEDDED
from nemo_lab.study.run.aside import call_aside
from nemo_lab.study.run.inside import check_outside
from nemo_lab.study.study import Study

if TYPE_CHECKING:
    from nemo_lab.search.species.transfer import Evolved

GRAPH_SPECIES = ("gcn", "unet")
SOURCE = File(words="a study, the path of the file that one is stored in, or several of these in a list")


def inherited_from(given: Any, problem: Problem, species: Sequence[Any], options: SearchOptions) -> Inherited:
    """Graph networks for the species of a study.

    Args:
        given: as for ``create_study(transfer=...)``.
        problem: that is searched.
        species: that take part, by name or otherwise.
        options: of the search.

    Raises:
        ArgumentError, DataError: if there is nothing to take over, or nobody to take it over.
        StorageError: if a file cannot be read, or does not hold the search.
    """
    from nemo_lab.search.species.graph import GraphSpecies
    from nemo_lab.search.species.transfer import adapted, spread

    names = [one for one in species if isinstance(one, str) and one in GRAPH_SPECIES]
    if not names:
        raise ArgumentError("transfer without a graph species", "let 'gcn' or 'unet' take part")
    if not feature_names_of(problem):
        raise ArgumentError(
            "transfer to a problem that does not say what the columns of its node_features are",
            "give it feature_names, a text of its own for each column",
        )
    sources, evolved = [], []
    for one in given if isinstance(given, list | tuple) else [given]:
        source, found = _evolved(one)
        sources.append(source)
        evolved.append(found)
    networks: dict[str, list[Genome]] = {}
    for taker in make_species(names, problem, options):
        if isinstance(taker, GraphSpecies):
            pairs = [pair for one in evolved for pair in adapted(one, taker, problem, options)]
            if pairs:
                networks[taker.name] = spread(pairs)
    if not networks:
        raise ArgumentError(
            f"transfer: no graph network of {' or '.join(map(repr, names))} has been evaluated there",
            "give a study in which they take part, and which has run for some generations",
        )
    return Inherited(networks, tuple(sources))


def _evolved(given: Any) -> tuple[tuple[str, str] | None, Evolved]:
    """File and name of a study, and what it has evolved."""
    if isinstance(given, Study):
        journal = given.journal
        source = None if journal is None else (str(journal.path), journal.header.name)
        if journal is None or not given.following:
            return source, _of_study(given)
        return source, _of_file(str(journal.place), journal.header.name)[1]
    path = SOURCE.check("transfer", given)
    if not os.path.exists(path):
        raise StorageError(
            f"there is no file {path!r}",
            "transfer takes a study, or the path of the file that one is stored in",
        )
    name, found = _of_file(path)
    return (path, name), found


def _of_study(study: Study) -> Evolved:
    networks: dict[str, Sequence[Genome]] = {}

    def collect(engine: Engine) -> None:
        names = [one.name for one in engine.species]
        networks.update(_networks(names, engine.state.population.members))

    check_outside(study._runner, "create_study(transfer=...)")
    call_aside(study._runner, collect)
    return _described(study.problem, study.title, vars(study.options), networks)


def _of_file(path: str, name: str | None = None) -> tuple[str, Evolved]:
    """Name of a study in a file, the newest by default, and what it has evolved."""
    with Journal.open(path, name, write=False) as journal:
        header, stored = journal.header, journal.read_state()
    name = header.name
    if stored.checkpoint is None:
        raise StorageError(
            f"{path!r} does not hold the state of study {name!r}'s search, which is stored when a run rests",
            f"give the study itself: transfer=load_study({path!r}, {name!r}, ...)",
        )
    state = state_of(stored.checkpoint)
    roster = Roster.from_state(state["members"])
    living = [roster.named(rows) for rows in state["population"]["living"]]
    networks = _networks(state["ledger"]["species"], living)
    return name, _described(header.problem, header.problem.title, header.options, networks, header.recipe)


def _networks(names: Sequence[str], living: Sequence[Sequence[Member]]) -> Networks:
    """Those that were evaluated, of each graph species."""
    return {
        name: [one.genome for one in members if one.objectives is not None and one.genome is not None]
        for name, members in zip(names, living, strict=False)
        if name in GRAPH_SPECIES
    }


def _described(problem: Problem, title: str, options: Any, networks: Networks, recipe: Any = None) -> Evolved:
    from nemo_lab.search.species.transfer import Evolved

    names = feature_names_of(problem)
    workload = (recipe or {}).get("workload")
    if not names and workload in EMBEDDED:  # stored before names were
        from nemo_lab.workload import load_workload

        names = load_workload(workload).feature_names
    if not names:
        raise DataError(
            f"{title!r} does not say what the columns of its node_features are",
            "give its problem feature_names, a text of its own for each column, and make a study of it again",
        )
    return Evolved(title, names, tuple(map(int, problem.bit_widths)), options, networks)
