"""Searches in miniature, for species that observe."""

from __future__ import annotations

import copy

import numpy as np

from nemo_lab.errors import ContractError
from nemo_lab.search.archive import EvaluationLog, ParetoFront
from nemo_lab.search.constraints import Constraints
from nemo_lab.search.problem import Problem, bounds_of, evaluate_one
from nemo_lab.search.species import Species
from nemo_lab.search.view import SearchView
from nemo_lab.testing.same import same


def watched(problem: Problem, seed: int, counts: tuple[int, ...] = (6, 12)) -> list[SearchView]:
    """What a species sees after so many evaluations each: first free, then with the first node pinned."""
    rng = np.random.default_rng(seed)
    widths = tuple(problem.bit_widths)
    log = EvaluationLog(problem.num_nodes, len(problem.objective_names))
    views: list[SearchView] = []
    for pins in ({}, {0: widths[-1]}):
        rules, front = Constraints(pins=pins), ParetoFront()
        while len(log) < counts[len(views)]:
            bits = rules.apply(rng.choice(widths, size=problem.num_nodes).astype(np.uint8))
            objectives = evaluate_one(problem, bits)
            log.append(bits=bits, objectives=objectives, species=-1, origin=0, generation=len(views))
        evaluations = log.view()
        front.rebuild(evaluations, rules)
        known = {row.tobytes() for row in evaluations.bits}
        views.append(
            SearchView(
                evaluations,
                front.ids,
                rules.allowed(widths, problem.num_nodes),
                rules.box(bounds_of(problem)),
                lambda bits, known=known: bits.tobytes() in known,  # type: ignore[misc]
            )
        )
    return views


def observe(species: Species, view: SearchView) -> None:
    """Show it a search.

    Raises:
        ContractError: if it changes what it sees, or tries to.
    """
    parts = (vars(view.evaluations), view.front, view.allowed, view.box)
    before = copy.deepcopy(parts)
    message = "observe changed what it was given"
    try:
        species.observe(view)  # type: ignore[attr-defined]
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        raise ContractError(message, "work on a copy") from error
    if not same(parts, before):
        raise ContractError(message, "work on a copy")
