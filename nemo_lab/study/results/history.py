"""A run as it stood after fewer evaluations than it has now."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from nemo_lab.search import Evaluations, Problem, Rules
from nemo_lab.search.archive import ParetoFront
from nemo_lab.search.indicators import hypervolume
from nemo_lab.search.objective import only, varying
from nemo_lab.search.problem import bounds_of
from nemo_lab.study.results.snapshot import Intervention, Snapshot


def past(snapshot: Snapshot, evaluations: int, problem: Problem) -> Snapshot:
    """The snapshot after so many evaluations: front, rules, course and steers as they were then.

    State, budget and times are those of now. A steer counts from the evaluation before which it took effect.
    """
    if evaluations >= len(snapshot.evaluations):
        return snapshot
    columns = {name: column[:evaluations] for name, column in vars(snapshot.evaluations).items()}
    log = Evaluations(**columns)
    steers = tuple(one for one in snapshot.interventions if one.evaluation <= evaluations)
    rules, front = rules_after(steers), ParetoFront()
    front.rebuild(log, rules)
    history = tuple(one for one in snapshot.history if one.evaluations <= evaluations)
    last = history[-1] if history else None
    seen = varying(problem)
    vectors, bounds = (only(seen, one) for one in (log.objectives[front.ids], bounds_of(problem)))
    return dataclasses.replace(
        snapshot,
        evaluations=log,
        front=front.ids,
        rules=rules,
        generation=int(log.generation[-1]) if len(log) else 0,
        allocation=tuple(one.allocation for one in last.species) if last else snapshot.allocation,
        history=history,
        interventions=steers,
        hypervolume=hypervolume(vectors, bounds),
    )


def rules_after(steers: Iterable[Intervention]) -> Rules:
    """Pins, constraints and aspiration after a list of steers, undone ones and those made again included."""
    now = Rules()
    done: list[Rules] = []
    undone: list[Rules] = []
    for one in steers:
        if one.action in ("undo", "redo"):
            taken, given = (done, undone) if one.action == "undo" else (undone, done)
            if taken:
                given.append(now)
                now = taken.pop()
            continue
        done.append(now)
        undone.clear()
        now = _after(now, one)
    return now


def _after(rules: Rules, steer: Intervention) -> Rules:
    given = steer.arguments
    if steer.action == "pin":
        pins = dict(given["pins"]["pairs"])
        return rules.holding({int(n): tuple(w) if isinstance(w, list) else w for n, w in pins.items()})
    if steer.action == "unpin":
        return rules.freeing(given["nodes"])
    if steer.action == "constrain":
        return dataclasses.replace(rules, limits={int(k): float(v) for k, v in given["limits"]["pairs"]})
    if steer.action == "aspire":
        box = {int(k): (float(np.min(v)), float(np.max(v))) for k, v in given["box"]["pairs"]}
        return dataclasses.replace(rules, aspiration=box)
    return rules
