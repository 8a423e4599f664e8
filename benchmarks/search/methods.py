"""The methods compared; each spends the budget of the meter it is given."""

from __future__ import annotations

import numpy as np

from benchmarks.search import allocation, optuna_peers, ours, pymoo_peers
from benchmarks.search.meter import Meter
from benchmarks.search.method import Method
from benchmarks.search.pymoo_peers import POPULATION


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


def _pymoo(name: str, title: str, note: str) -> tuple[Method, Method]:
    """An algorithm of pymoo from both starts."""
    start = "the same, with the uniform configurations in the first population"
    return (
        Method(name, f"{title} (pymoo)", pymoo_peers.run(name, uniform=False), note),
        Method(
            f"{name}_uniform", f"{title} (pymoo), uniform start", pymoo_peers.run(name, uniform=True), start
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
        *_pymoo("nsga2", "NSGA-II", _PYMOO),
        *_pymoo("nsga3", "NSGA-III", f"{_PYMOO}; 45 Das-Dennis directions (8 partitions)"),
        *_pymoo("smsemoa", "SMS-EMOA", _PYMOO),
        Method(
            "optuna_nsga2",
            "NSGA-II (Optuna)",
            optuna_peers.run("nsga2"),
            f"`NSGAIISampler`, population {POPULATION}, integers; else Optuna's defaults",
        ),
        Method(
            "optuna_tpe",
            "TPE (Optuna)",
            optuna_peers.run("tpe"),
            "`TPESampler`, multivariate (else every node has all trials sorted anew), integers; at most "
            "1,000 evaluations, 500 on more than 120 nodes, because it takes long itself",
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
