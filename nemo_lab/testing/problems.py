"""What a problem promises to the search, checked one promise after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.errors import ContractError, NemoError
from nemo_lab.problem import NEEDED, Problem, adapt_problem
from nemo_lab.search.problem import bounds_of, checked_objectives, evaluate_one
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
    check_hooks(problem, Problem)
    missing = [name for name in NEEDED if not hasattr(problem, name)]
    if missing:
        raise ContractError(
            f"{type(problem).__name__} lacks {', '.join(missing)}",
            "add the members that nemo_lab.search.Problem lists",
        )
    problem = adapt_problem(problem)
    _check_description(problem)
    _check_provenance(problem)
    rng = np.random.default_rng(seed)
    bits = rng.choice(problem.bit_widths, size=(configurations, problem.num_nodes)).astype(np.uint8)
    objectives = _check_evaluate(problem, bits)
    _check_bounds(problem, objectives)
    _check_costs(problem, bits, objectives)


def _check_description(problem: Problem) -> None:
    count = problem.num_nodes
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ContractError(f"num_nodes is {count!r}", "make it a whole number of at least 1")
    for name, values, length in (
        ("node_names", problem.node_names, count),
        ("objective_names", problem.objective_names, None),
    ):
        _check_names(name, values, length)
    widths = list(problem.bit_widths)
    whole = all(isinstance(width, int | np.integer) and 1 <= width <= 32 for width in widths)
    if not widths or not whole or widths != sorted(set(widths)):
        raise ContractError(
            f"bit_widths are {tuple(widths)}", "give whole numbers from 1 to 32, ascending, each once"
        )
    features = np.asarray(problem.node_features)
    if features.ndim != 2 or len(features) != count or features.shape[1] == 0:
        raise ContractError(
            f"node_features have shape {features.shape}", f"give float[Q, F] with Q = {count} rows"
        )
    if features.dtype.kind not in "fiu" or not np.isfinite(features).all():
        raise ContractError("node_features are not all finite numbers", "replace NaN and infinity")
    if problem.workload is not None and len(problem.workload.nodes) != count:
        raise ContractError(
            f"the workload has {len(problem.workload.nodes)} nodes, the problem {count}",
            "give the workload whose nodes are searched, or none",
        )
    for name, graph in (("edges", problem.edges), ("topology", problem.topology)):
        edges = np.asarray(graph)
        if edges.ndim != 2 or edges.shape[0] != 2 or edges.dtype.kind not in "iu":
            raise ContractError(
                f"{name} have shape {edges.shape} and type {edges.dtype}", "give int[2, E]: sources, targets"
            )
        if edges.size and not 0 <= edges.min() <= edges.max() < count:
            raise ContractError(
                f"{name} name nodes that do not exist", f"use positions from 0 to {count - 1}"
            )


def _check_provenance(problem: Problem) -> None:
    for name, text in (("title", problem.title), ("metric", problem.metric)):
        if not isinstance(text, str):
            raise ContractError(f"{name} is {text!r:.60}", "give a text")
    found = problem.fingerprint()
    whole = isinstance(found, Mapping) and all(isinstance(one, str) for pair in found.items() for one in pair)
    if not whole or not found:
        raise ContractError(
            f"fingerprint returned {found!r:.60}", "return a dict of texts, one digest a part"
        )
    if problem.fingerprint() != found:
        raise ContractError("fingerprint changes from call to call", "digest only what results depend on")


def _check_names(name: str, values: Sequence[str], length: int | None) -> None:
    names = list(values)
    if not names or not all(isinstance(one, str) and one for one in names):
        raise ContractError(f"{name} are {names[:3]}...", "give texts that are not empty")
    if len(set(names)) < len(names):
        twice = next(one for one in names if names.count(one) > 1)
        raise ContractError(f"{name} has {twice!r} twice", "give each a name of its own")
    if length is not None and len(names) != length:
        raise ContractError(f"{len(names)} {name} for {length} nodes", "give one name per node")


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
    bounds = bounds_of(problem)
    if bounds.shape == (2, objectives.shape[1]) and not np.isfinite(bounds).all():
        raise ContractError(
            "objective_bounds are not finite", "give the best and the worst that can be reached"
        )
    if bounds.shape != (2, objectives.shape[1]) or not np.all(bounds[0] <= bounds[1]):
        raise ContractError(
            f"objective_bounds have shape {bounds.shape}, or a best above its worst",
            "give float[2, K]: the best and the worst that can be reached",
        )
    outside = ((objectives < bounds[0] - 1e-9) | (objectives > bounds[1] + 1e-9)).any(axis=0)
    if outside.any():
        name = problem.objective_names[int(np.flatnonzero(outside)[0])]
        raise ContractError(
            f"{name} left its bounds", "set objective_bounds to what can be reached (0 to 1 by default)"
        )


def _check_costs(problem: Problem, bits: NDArray[np.uint8], objectives: NDArray[np.float64]) -> None:
    names = tuple(problem.cost_names)
    unknown = [name for name in names if name not in problem.objective_names]
    if unknown:
        raise ContractError(f"cost {unknown[0]!r} is not an objective", "name costs as in objective_names")
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
