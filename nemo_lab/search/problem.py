"""What the search needs to know of a problem: anything with these members can be searched."""

from __future__ import annotations

from itertools import combinations
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nemo_lab.errors import EvaluationError

FEW = 12  # nodes of which all pairs are looked at


@runtime_checkable
class Problem(Protocol):
    """A space of bit-width configurations and K objectives to minimise.

    Optional members: ``objective_bounds`` float[2, K], the reachable box that the hypervolume is
    normalised by (0 to 1 by default), in which one that has no room is left out of the search;
    ``objectives``, a ``nemo_lab.objective.Objective`` for each name, which says how it is called and shown;
    ``cost_names`` with ``costs(bits)`` -> float[N, C], the
    objectives that are exact and cost no evaluation; ``workload``, for the picture of the graph.

    A long ``evaluate`` should call ``nemo_lab.check_interrupted`` now and then, such as before each batch of
    images, so that a run can be stopped there; one that does not is waited for.
    """

    num_nodes: int
    node_names: tuple[str, ...]
    bit_widths: tuple[int, ...]
    objective_names: tuple[str, ...]
    node_features: NDArray[np.float32]
    edges: NDArray[np.int64]

    def evaluate(self, bits: Any) -> NDArray[np.float64]:
        """Objectives of configurations: integers[N, Q] -> float[N, K]."""
        ...


def bounds_of(problem: Problem) -> NDArray[np.float64]:
    """float64[2, K]: the problem's reachable box; where it names none, that of its objectives, or 0 to 1."""
    given = getattr(problem, "objective_bounds", None)
    if given is not None:
        return np.asarray(given, dtype=np.float64)
    own = getattr(problem, "objectives", ())
    described = own if isinstance(own, tuple | list) and own else [None] * len(problem.objective_names)
    ends = [(getattr(one, "low", None), getattr(one, "high", None)) for one in described]
    return np.array([(0.0, 1.0) if None in pair else pair for pair in ends], dtype=np.float64).T


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
    for layer in getattr(getattr(problem, "workload", None), "layers", ()):
        nodes = tuple(sorted({node for node in layer.operands if node is not None}))
        if nodes:
            found.setdefault(nodes)
    if not found and problem.num_nodes <= FEW:
        return [list(pair) for pair in combinations(range(problem.num_nodes), 2)] or [[0]]
    covered = {node for block in found for node in block}
    return [*map(list, found), *([node] for node in range(problem.num_nodes) if node not in covered)]
