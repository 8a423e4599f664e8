"""What the search asks of a problem, and what it takes for an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.contract import check_bounds
from nemo_lab.errors import EvaluationError
from nemo_lab.numeric import LARGEST, real_numbers, wrong_number
from nemo_lab.problem import Problem as Problem


def bounds_of(problem: Problem) -> NDArray[np.float64]:
    """float64[2, K]: the problem's reachable box; ContractError if it is none."""
    return check_bounds(problem)


def checked_objectives(problem: Problem, value: Any, count: int = 1) -> NDArray[np.float64]:
    """What an evaluator returned, as float64[N, K].

    Raises:
        EvaluationError: on a wrong shape or values that are not finite.
    """
    return _answer("evaluate", value, count, problem.objective_names)


def exact_costs(problem: Problem, bits: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What ``costs`` gives of uint8[N, Q], float64[N, C], checked as objectives are."""
    return _answer("costs", problem.costs(bits.copy()), len(bits), problem.cost_names)


def exact_neighbours(problem: Problem, bits: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    """What ``neighbour_costs`` gives of uint8[Q], float64[C, Q, W], checked the same; None without one."""
    if problem.neighbour_costs is None:
        return None
    value, names = problem.neighbour_costs(bits.copy()), problem.cost_names
    rows = len(bits) * len(problem.bit_widths)
    try:
        found = real_numbers(value)
    except ValueError as error:
        raise EvaluationError(f"neighbour_costs returned {error}", "return float[C, Q, W]") from error
    expected = (len(names), len(bits), len(problem.bit_widths))
    if found.shape != expected:
        raise EvaluationError(
            f"neighbour_costs returned shape {found.shape} instead of {expected}",
            "return what costs gives with each node alone at each width, or leave it out",
        )
    _answer("neighbour_costs", found.reshape(len(names), -1).T, rows, names)
    return found.copy()


def feature_names_of(problem: Problem) -> tuple[str, ...]:
    """What each column of ``node_features`` is; empty where nobody says it, or says it of something else.

    A problem says it itself by ``feature_names``, a text of its own for each column, or its workload does.
    """
    columns, own = np.asarray(problem.node_features), getattr(problem, "feature_names", None)
    if own is None and problem.workload is not None:
        names, features = problem.workload.feature_names, problem.workload.features
        return names if np.array_equal(columns, features) else ()
    whole = isinstance(own, list | tuple) and all(isinstance(name, str) for name in own)
    if own is None or not whole or len(own) != columns.shape[1] or len(set(own)) < len(own):
        return ()
    return tuple(own)


def sensitivity_of(problem: Problem) -> NDArray[np.float64] | None:
    """What ``sensitivity`` gives, float64[Q, W]; None without such a method.

    Raises:
        EvaluationError: on a wrong shape, or numbers that are negative or not finite.
    """
    if not callable(problem.sensitivity):
        return None
    expected = (problem.num_nodes, len(problem.bit_widths))
    way_out = f"return float{list(expected)}, the damage of each node at each width, or leave it out"
    try:
        found = real_numbers(problem.sensitivity())
    except ValueError as error:
        raise EvaluationError(f"sensitivity returned {error}", way_out) from error
    if found.shape != expected:
        raise EvaluationError(f"sensitivity returned shape {found.shape} instead of {expected}", way_out)
    wrong = wrong_number(found) or ("negative" if (found < 0).any() else "")
    if wrong:
        raise EvaluationError(f"sensitivity returned a damage that is {wrong}", way_out)
    return found.copy()


def _answer(hook: str, value: Any, count: int, names: Sequence[str]) -> NDArray[np.float64]:
    """What a hook returned for so many configurations, as float64[N, number of names] of our own."""
    try:
        found = real_numbers(value)
    except ValueError as error:
        raise EvaluationError(
            f"{hook} returned {error}", "return real numbers, one row per configuration"
        ) from error
    expected = (count, len(names))
    if found.shape != expected:
        raise EvaluationError(
            f"{hook} returned shape {found.shape} instead of {expected}",
            f"return one row per configuration: {', '.join(names)}",
        )
    if wrong := wrong_number(found):
        name = names[int(np.flatnonzero(~(np.abs(found) <= LARGEST).all(axis=0))[0])]
        raise EvaluationError(
            f"{hook} returned {name} that is {wrong}", "check what is measured, and the unit it is in"
        )
    return found.copy()  # whoever gave it may write into it again


def evaluate_one(problem: Problem, bits: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Objectives float64[K] of uint8[Q], checked; the evaluator may write into what it is given."""
    objectives: NDArray[np.float64] = checked_objectives(problem, problem.evaluate(bits[None].copy()))[0]
    return objectives
