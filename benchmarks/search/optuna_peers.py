"""Samplers of Optuna, each node an integer between the fewest and the most bits."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.search.meter import BudgetSpentError, Meter
from benchmarks.search.pymoo_peers import POPULATION


def run(name: str, *, uniform: bool) -> Callable[[Meter, int], None]:
    """A method that runs ``"nsga2"`` or ``"tpe"`` until the budget is spent.

    Args:
        name: of the sampler.
        uniform: whether the uniform configurations are its first trials, which are random else.
    """

    def method(meter: Meter, seed: int) -> None:
        _run(meter, _sampler(name, seed), uniform)

    return method


def tpe_limit(nodes: int) -> int:
    """Evaluations that TPE is given: each takes it longer than the one before, up to a second."""
    return 1000 if nodes <= 50 else 250


def _sampler(name: str, seed: int) -> Any:
    import optuna

    if name == "nsga2":
        return optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed)
    return optuna.samplers.TPESampler(seed=seed)


def _run(meter: Meter, sampler: Any, uniform: bool) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    low, high = meter.bit_widths[0], meter.bit_widths[-1]
    study = optuna.create_study(directions=["minimize"] * len(meter.objective_names), sampler=sampler)
    for width in meter.bit_widths if uniform else ():
        study.enqueue_trial(dict.fromkeys(meter.node_names, width))
    with contextlib.suppress(BudgetSpentError):
        while True:
            trial = study.ask()
            bits = np.array([trial.suggest_int(name, low, high) for name in meter.node_names], dtype=np.uint8)
            study.tell(trial, meter.evaluate(bits)[0].tolist())
