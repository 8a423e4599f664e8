"""A run as it stood after fewer evaluations than it has now."""

from __future__ import annotations

import dataclasses

from nemo_lab.arguments import Domain, Instance, Whole
from nemo_lab.errors import ArgumentError
from nemo_lab.search import Ledger, Problem
from nemo_lab.search.archive import ParetoFront
from nemo_lab.search.indicators import hypervolume
from nemo_lab.search.objective import only, varying
from nemo_lab.search.problem import bounds_of
from nemo_lab.study.commands.registry import followed
from nemo_lab.study.results.snapshot import Snapshot

MOMENT = Whole(0)
SNAPSHOT = Instance(Snapshot, words="a snapshot, such as study.snapshot")
PROBLEM: Domain[Problem] = Instance(Problem, words="its problem, such as study.problem")  # type: ignore[type-abstract]


def past(snapshot: Snapshot, evaluations: int, problem: Problem) -> Snapshot:
    """The snapshot after so many evaluations: front, decisions, course and interventions as they were then.

    State, the target of the run and times are those of now. An intervention counts from the evaluation before
    which it took effect.

    Raises:
        ArgumentError: if it is not a whole number of at least 0, or the problem is not the snapshot's.
    """
    snapshot, problem = SNAPSHOT.check("snapshot", snapshot), PROBLEM.check("problem", problem)
    evaluations = MOMENT.check("evaluations", evaluations)
    shape = len(snapshot.evaluations.bits.T), len(snapshot.evaluations.objectives.T)
    if shape != (problem.num_nodes, len(problem.objective_names)):
        raise ArgumentError(
            f"the snapshot has {shape[0]} nodes and {shape[1]} objectives, the problem "
            f"{problem.num_nodes} and {len(problem.objective_names)}",
            "give the problem that was searched: study.problem",
        )
    if evaluations >= len(snapshot.evaluations):
        return snapshot
    log = snapshot.evaluations.first(evaluations)
    record = tuple(one for one in snapshot.record if one.evaluation <= evaluations)
    ledger, front = followed(Ledger(snapshot.begun_with), record, problem), ParetoFront()
    front.rebuild(log, ledger.constraints)
    history = tuple(one for one in snapshot.history if one.evaluations <= evaluations)
    last = history[-1] if history else None
    seen = varying(problem)
    vectors, bounds = (only(seen, one) for one in (log.objectives[front.ids], bounds_of(problem)))
    return dataclasses.replace(
        snapshot,
        evaluations=log,
        front=front.ids,
        ledger=ledger,
        generation=int(log.generation[-1]) if len(log) else 0,
        allocation=tuple(one.allocation for one in last.species) if last else snapshot.allocation,
        history=history,
        record=record,
        hypervolume=hypervolume(vectors, bounds),
    )
