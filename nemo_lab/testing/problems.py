"""What a problem promises to the search, checked one promise after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.adapted import adapt_problem
from nemo_lab.choices import choices, fit
from nemo_lab.contract import check_bounds, check_fingerprint, check_object
from nemo_lab.errors import ContractError, NemoError
from nemo_lab.problem import Problem
from nemo_lab.search.objective import objectives_of
from nemo_lab.search.problem import checked_objectives, evaluate_one, sensitivity_of
from nemo_lab.testing.hooks import check_hooks


def check_problem(problem: Any, *, configurations: int = 4, seed: int = 0) -> None:
    """Run a problem through everything the search relies on.

    Args:
        problem: anything with the members of ``nemo_lab.search.Problem``.
        configurations: how many random ones are evaluated, a few times each.
        seed: of those configurations.

    Raises:
        ContractError: at the first broken promise, or hook that is misspelt; says which, and how to mend it.
    """
    check_object(problem)
    check_hooks(problem, Problem)
    problem = adapt_problem(problem)
    _check_provenance(problem)
    objectives_of(problem)
    rng = np.random.default_rng(seed)
    bits = rng.choice(problem.bit_widths, size=(configurations, problem.num_nodes)).astype(np.uint8)
    bits = fit(bits, choices(problem), problem.bit_widths)
    objectives = _check_evaluate(problem, bits)
    _check_bounds(problem, objectives)
    _check_costs(problem, bits, objectives)
    try:
        sensitivity_of(problem)
    except NemoError as error:
        raise ContractError(error.message, error.hint) from error


def _check_provenance(problem: Problem) -> None:
    found = problem.fingerprint()
    check_fingerprint(found)
    if problem.fingerprint() != found:
        raise ContractError("fingerprint changes from call to call", "digest only what results depend on")


def _check_evaluate(problem: Problem, bits: NDArray[np.uint8]) -> NDArray[np.float64]:
    given = bits.copy()
    try:
        together = checked_objectives(problem, problem.evaluate(bits), len(bits))
        again = checked_objectives(problem, problem.evaluate(bits), len(bits))
        reverse = checked_objectives(problem, problem.evaluate(bits[::-1].copy()), len(bits))[::-1]
        alone = [evaluate_one(problem, row) for row in bits]
    except NemoError as error:
        raise ContractError(error.message, error.hint) from error
    if not np.array_equal(bits, given):
        raise ContractError("evaluate changed the bits it was given", "work on a copy")
    if not np.array_equal(together, again):
        raise ContractError(
            "evaluate gave other objectives for the same configurations",
            "draw no random numbers in it, or seed them from the configuration",
        )
    for other, what in ((reverse, "their order"), (np.array(alone), "what else is evaluated with them")):
        if not np.allclose(together, other, rtol=1e-9, atol=1e-12):
            raise ContractError(
                f"the objectives of configurations depend on {what}",
                "keep no state between the rows of one call, nor between calls",
            )
    return together


def _check_bounds(problem: Problem, objectives: NDArray[np.float64]) -> None:
    bounds = check_bounds(problem)
    outside = ((objectives < bounds[0] - 1e-9) | (objectives > bounds[1] + 1e-9)).any(axis=0)
    if outside.any():
        name = problem.objective_names[int(np.flatnonzero(outside)[0])]
        raise ContractError(
            f"{name} left its bounds", "set objective_bounds to what can be reached (0 to 1 by default)"
        )


def _check_costs(problem: Problem, bits: NDArray[np.uint8], objectives: NDArray[np.float64]) -> None:
    names = tuple(problem.cost_names)
    given = bits.copy()
    costs = np.asarray(problem.costs(bits))
    if costs.shape != (len(bits), len(names)):
        raise ContractError(
            f"costs returned shape {costs.shape}, with cost_names {names}",
            f"return float[N, {len(names)}], one column per cost",
        )
    if not np.array_equal(bits, given):
        raise ContractError("costs changed the bits it was given", "work on a copy")
    columns = [list(problem.objective_names).index(name) for name in names]
    if not np.allclose(costs, objectives[:, columns], rtol=1e-9, atol=1e-12):
        raise ContractError("costs and evaluate disagree", "compute the exact objectives in one place")
    if problem.neighbour_costs is not None:
        _check_neighbours(problem, np.asarray(problem.neighbour_costs(bits[0].copy())), bits[0])


def _check_neighbours(problem: Problem, alone: NDArray[np.float64], bits: NDArray[np.uint8]) -> None:
    """One node after the other at every width, by ``costs``."""
    widths = np.array(problem.bit_widths, dtype=np.uint8)
    rows = np.repeat(bits[None], len(bits) * len(widths), axis=0)
    places = np.arange(len(rows))
    rows[places, places // len(widths)] = widths[places % len(widths)]
    expected = np.asarray(problem.costs(rows)).T.reshape(-1, len(bits), len(widths))
    if alone.shape != expected.shape or not np.array_equal(alone, expected):
        raise ContractError(
            "neighbour_costs and costs disagree",
            f"return float{list(expected.shape)}, the very numbers of costs, or leave it out",
        )
