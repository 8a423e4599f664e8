"""Evolutionary algorithms of pymoo, with integer variables: positions in the bit-widths."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.search.meter import BudgetSpentError, Meter
from nemo_lab.search.indicators import partitions_for, uniform_directions

POPULATION = 48


def run(name: str, *, uniform: bool) -> Callable[[Meter, int], None]:
    """A method that runs ``"nsga2"``, ``"nsga3"`` or ``"smsemoa"`` until the budget is spent.

    Args:
        name: of the algorithm.
        uniform: whether the uniform configurations are in the first population, which is random else.
    """

    def method(meter: Meter, seed: int) -> None:
        _run(meter, seed, name, uniform)

    return method


def _run(meter: Meter, seed: int, name: str, uniform: bool) -> None:
    from pymoo.core.problem import Problem
    from pymoo.optimize import minimize

    widths = np.array(meter.bit_widths)

    class Widths(Problem):  # type: ignore[misc]
        def __init__(self) -> None:
            objectives = len(meter.objective_names)
            super().__init__(n_var=meter.num_nodes, n_obj=objectives, xl=0, xu=len(widths) - 1, vtype=int)

        def _evaluate(self, x: NDArray[np.int64], out: dict[str, Any], *_: Any, **__: Any) -> None:
            out["F"] = meter.evaluate(widths[x])

    start = np.random.default_rng(seed).integers(len(widths), size=(POPULATION, meter.num_nodes))
    if uniform:
        start[: len(widths)] = np.arange(len(widths))[:, None]
    algorithm = _algorithm(name, start, len(meter.objective_names))
    with warnings.catch_warnings(), contextlib.suppress(BudgetSpentError):
        minimize(Widths(), algorithm, ("n_eval", meter.budget + POPULATION), seed=seed, verbose=False)


def _algorithm(name: str, start: NDArray[np.int64], objectives: int) -> Any:
    """With pymoo's defaults for each, but for the population and for offspring rounded to integers."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.algorithms.moo.nsga3 import NSGA3
    from pymoo.algorithms.moo.sms import SMSEMOA
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair

    def common(eta: float, probability: float) -> dict[str, Any]:
        repair = RoundingRepair()
        crossover = SBX(eta=eta, prob=probability, vtype=float, repair=repair)
        mutation = PM(eta=20, vtype=float, repair=repair)
        return {"pop_size": POPULATION, "sampling": start, "crossover": crossover, "mutation": mutation}

    if name == "nsga3":
        directions = uniform_directions(objectives, partitions_for(objectives, POPULATION)).copy()
        return NSGA3(ref_dirs=directions, **common(30, 1.0))
    return {"nsga2": NSGA2, "smsemoa": SMSEMOA}[name](**common(15, 0.9))
