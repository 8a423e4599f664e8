"""What the search asks of a problem, and what it takes for an answer."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.errors import EvaluationError
from nemo_lab.problem import Problem as Problem

FEW = 12  # nodes of which all pairs are looked at


def bounds_of(problem: Problem) -> NDArray[np.float64]:
    """float64[2, K]: the problem's reachable box."""
    return np.asarray(problem.objective_bounds, dtype=np.float64)


def checked_objectives(problem: Problem, value: Any, count: int = 1) -> NDArray[np.float64]:
    """What an evaluator returned, as float64[N, K].

    Raises:
        EvaluationError: on a wrong shape or values that are not finite.
    """
    try:
        objectives = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise EvaluationError(
            f"evaluate returned a {type(value).__name__}", "return float[N, K], one row per configuration"
        ) from error
    expected = (count, len(problem.objective_names))
    if objectives.shape != expected:
        raise EvaluationError(
            f"evaluate returned shape {objectives.shape} instead of {expected}",
            f"return one row per configuration: {', '.join(problem.objective_names)}",
        )
    if not np.isfinite(objectives).all():
        name = problem.objective_names[int(np.flatnonzero(~np.isfinite(objectives).all(0))[0])]
        raise EvaluationError(
            f"evaluate returned {name} that is not finite", "check the metric and the network's outputs"
        )
    return objectives


def evaluate_one(problem: Problem, bits: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Objectives float64[K] of uint8[Q], checked; the evaluator may write into what it is given."""
    objectives: NDArray[np.float64] = checked_objectives(problem, problem.evaluate(bits[None].copy()))[0]
    return objectives


def blocks_of(problem: Problem) -> list[list[int]]:
    """Nodes that belong together: the operands of each layer of the workload.

    Without a workload any two may, as long as they are few.
    """
    found: dict[tuple[int, ...], None] = {}
    workload = problem.workload
    for layer in () if workload is None else workload.layers:
        nodes = tuple(sorted({node for node in layer.operands if node is not None}))
        if nodes:
            found.setdefault(nodes)
    if not found and problem.num_nodes <= FEW:
        return [list(pair) for pair in combinations(range(problem.num_nodes), 2)] or [[0]]
    covered = {node for block in found for node in block}
    return [*map(list, found), *([node] for node in range(problem.num_nodes) if node not in covered)]
