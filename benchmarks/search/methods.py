"""The methods compared; each spends the budget of the meter it is given."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np

from benchmarks.search import allocation, optuna_peers, ours, pymoo_peers
from benchmarks.search.meter import Meter
from benchmarks.search.method import Method
from benchmarks.search.pymoo_peers import POPULATION

Limit = Callable[[int], int]


def uniform(meter: Meter, seed: int) -> None:
    """One width for all nodes."""
    meter.evaluate(np.repeat(np.array(meter.bit_widths)[:, None], meter.num_nodes, axis=1))


def uniform_pairs(meter: Meter, seed: int) -> None:
    """One width for all weights, one for all activations."""
    weights = np.array([node.kind == "weight" for node in meter.workload.nodes])
    meter.evaluate([np.where(weights, w, a) for w in meter.bit_widths for a in meter.bit_widths])


def random(meter: Meter, seed: int) -> None:
    """Every width equally likely at every node."""
    rng = np.random.default_rng(seed)
    meter.evaluate(rng.choice(np.array(meter.bit_widths), size=(meter.budget, meter.num_nodes)))


def _both_starts(
    peers: ModuleType,
    library: str,
    name: str,
    title: str,
    note: str,
    prefix: str = "",
    limit: Limit | None = None,
) -> tuple[Method, Method]:
    """An algorithm of a library from a random start and from the uniform configurations."""
    start = "the same, with the uniform configurations at the start"
    title, key = f"{title} ({library})", f"{prefix}{name}"
    return (
        Method(key, title, peers.run(name, uniform=False), note, limit=limit),
        Method(
            f"{key}_uniform", f"{title}, uniform start", peers.run(name, uniform=True), start, limit=limit
        ),
    )


_PYMOO = (
    f"population {POPULATION}, integer variables, random first population; else pymoo's defaults, offspring "
    "rounded to integers"
)
_PROBES = (
    "seven uniform configurations; then every node alone at 2 bits with all others at 8 (and a bit higher "
    "where that ruins all), later at 3 and at 4; noise is additive and falls by 4 a bit, damage its power "
    "1, 1.5, 2 or 3, whichever gained most hypervolume; configurations that cannot matter are left out"
)

METHODS = {
    method.name: method
    for method in (
        Method("uniform", "uniform widths", uniform, "one width for every node", seeded=False),
        Method(
            "uniform_pairs",
            "uniform W x A pairs",
            uniform_pairs,
            "one width for all weights and one for all activations, every pair",
            seeded=False,
        ),
        Method("random", "random search", random, "every width equally likely at every node"),
        *_both_starts(pymoo_peers, "pymoo", "nsga2", "NSGA-II", _PYMOO),
        *_both_starts(pymoo_peers, "pymoo", "nsga3", "NSGA-III", f"{_PYMOO}; 45 directions (8 partitions)"),
        *_both_starts(pymoo_peers, "pymoo", "smsemoa", "SMS-EMOA", _PYMOO),
        *_both_starts(
            optuna_peers,
            "Optuna",
            "nsga2",
            "NSGA-II",
            f"`NSGAIISampler`, population {POPULATION}, integers; else Optuna's defaults",
            prefix="optuna_",
        ),
        *_both_starts(
            optuna_peers,
            "Optuna",
            "tpe",
            "TPE",
            "`TPESampler`, integers; Optuna's defaults (multivariate TPE is quicker, but was worse on "
            "mobilenet_v2); at most 1,000 evaluations, 250 on more than 50 nodes, because it takes long",
            prefix="optuna_",
            limit=optuna_peers.tpe_limit,
        ),
        Method(
            "greedy",
            "sensitivity, greedy",
            allocation.greedy,
            f"{_PROBES}; walks from 8 bits down by the best ratio of cost gain to noise, one node or both "
            f"operands of a layer at a time, by changing mixes of the two costs, evaluated {allocation.WALK} "
            "times on the way",
            seeded=False,
        ),
        Method(
            "integer",
            "sensitivity, integer program",
            allocation.integer_program,
            f"{_PROBES}; least noise within budgets of both costs, spread evenly (HiGHS by SciPy, within "
            "2 % of the optimum)",
            seeded=False,
        ),
        *ours.METHODS,
    )
}
