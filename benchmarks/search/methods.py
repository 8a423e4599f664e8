"""The methods compared; each spends the budget of the meter it is given."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import nemo_lab as nl
from benchmarks.search.meter import BudgetSpentError, Meter
from nemo_lab.search.indicators import partitions_for, uniform_directions

POPULATION = 48


@dataclass(frozen=True)
class Method:
    """A way to search.

    Attributes:
        name: on the command line.
        title: in the table.
        run: spends the budget; takes the meter and a seed.
        seeded: whether it depends on the seed; if not it runs once.
        note: what it does, with its settings, for the page of results.
    """

    name: str
    title: str
    run: Callable[[Meter, int], object]
    seeded: bool
    note: str


def uniform(meter: Meter, seed: int) -> None:
    """One width for all nodes."""
    meter.evaluate(uniform_rows(meter))


def uniform_pairs(meter: Meter, seed: int) -> None:
    """One width for all weights, one for all activations."""
    weights = np.array([node.kind == "weight" for node in meter.workload.nodes])
    meter.evaluate([np.where(weights, w, a) for w in meter.bit_widths for a in meter.bit_widths])


def random(meter: Meter, seed: int) -> None:
    """Every width equally likely at every node."""
    rng = np.random.default_rng(seed)
    meter.evaluate(rng.choice(np.array(meter.bit_widths), size=(meter.budget, meter.num_nodes)))


def nsga3(meter: Meter, seed: int) -> None:
    """NSGA-III of pymoo from random integers."""
    _nsga3(meter, seed, None)


def nsga3_uniform(meter: Meter, seed: int) -> None:
    """NSGA-III of pymoo from the uniform configurations and random integers."""
    rng = np.random.default_rng(seed)
    filling = rng.integers(len(meter.bit_widths), size=(POPULATION, meter.num_nodes))
    start = np.searchsorted(meter.bit_widths, uniform_rows(meter))
    _nsga3(meter, seed, np.concatenate([start, filling])[:POPULATION])


def nemo(meter: Meter, seed: int) -> nl.Study:
    """NEMO as ``create_study`` makes it."""
    return nl.create_study(meter, seed=seed).optimize(meter.budget, progress=False)


def uniform_rows(meter: Meter) -> NDArray[np.uint8]:
    """uint8[widths, Q]: every node at the same width."""
    return np.repeat(np.array(meter.bit_widths, dtype=np.uint8)[:, None], meter.num_nodes, axis=1)


def _nsga3(meter: Meter, seed: int, start: Any) -> None:
    """Integer variables (positions in the widths); ``start`` int[N, Q] is the first population."""
    from pymoo.algorithms.moo.nsga3 import NSGA3
    from pymoo.core.problem import Problem
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling
    from pymoo.optimize import minimize

    widths = np.array(meter.bit_widths)
    objectives = len(meter.objective_names)

    class Widths(Problem):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(n_var=meter.num_nodes, n_obj=objectives, xl=0, xu=len(widths) - 1, vtype=int)

        def _evaluate(self, x: NDArray[np.int64], out: dict[str, Any], *_: Any, **__: Any) -> None:
            out["F"] = meter.evaluate(widths[x])

    algorithm = NSGA3(
        ref_dirs=uniform_directions(objectives, partitions_for(objectives, POPULATION)).copy(),
        pop_size=POPULATION,
        sampling=IntegerRandomSampling() if start is None else start,
        crossover=SBX(eta=30, prob=1.0, vtype=float, repair=RoundingRepair()),
        mutation=PM(eta=20, vtype=float, repair=RoundingRepair()),
    )
    with warnings.catch_warnings(), contextlib.suppress(BudgetSpentError):
        minimize(Widths(), algorithm, ("n_eval", meter.budget + POPULATION), seed=seed, verbose=False)


METHODS = {
    method.name: method
    for method in (
        Method("uniform", "uniform widths", uniform, False, "one width for every node"),
        Method(
            "uniform_pairs",
            "uniform W x A pairs",
            uniform_pairs,
            False,
            "one width for all weights and one for all activations, every pair",
        ),
        Method("random", "random search", random, True, "every width equally likely at every node"),
        Method(
            "nsga3",
            "NSGA-III (pymoo)",
            nsga3,
            True,
            f"population {POPULATION}, 45 Das-Dennis directions (8 partitions), integer variables, random "
            "first population; else pymoo's defaults: tournament selection, SBX (eta 30, probability 1), "
            "polynomial mutation (eta 20) rounded to integers, duplicates dropped",
        ),
        Method(
            "nsga3_uniform",
            "NSGA-III (pymoo), uniform start",
            nsga3_uniform,
            True,
            "the same, with the uniform configurations in the first population",
        ),
        Method(
            "nemo",
            "NEMO (continuous, floor, gcn, unet)",
            nemo,
            True,
            f"`create_study` with its defaults: the paper's four species, population {POPULATION}",
        ),
    )
}
