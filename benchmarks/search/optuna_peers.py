"""Samplers of Optuna, each node an integer between the fewest and the most bits."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.search.meter import BudgetSpentError, Meter
from benchmarks.search.pymoo_peers import POPULATION


def run(name: str) -> Callable[[Meter, int], None]:
    """A method that runs ``"nsga2"`` or ``"tpe"`` until the budget is spent."""

    def method(meter: Meter, seed: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # multivariate TPE says that it is experimental
            _run(meter, _sampler(name, seed))

    return method


def tpe_limit(nodes: int) -> int:
    """Evaluations that TPE, at 0.1 to 0.5 seconds each, is given."""
    return 1000 if nodes <= 120 else 500


def _sampler(name: str, seed: int) -> Any:
    import optuna

    if name == "nsga2":
        return optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed)
    return optuna.samplers.TPESampler(multivariate=True, seed=seed)


def _run(meter: Meter, sampler: Any) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    low, high = meter.bit_widths[0], meter.bit_widths[-1]
    study = optuna.create_study(directions=["minimize"] * len(meter.objective_names), sampler=sampler)
    with contextlib.suppress(BudgetSpentError):
        while True:
            trial = study.ask()
            bits = np.array([trial.suggest_int(name, low, high) for name in meter.node_names], dtype=np.uint8)
            study.tell(trial, meter.evaluate(bits)[0].tolist())
