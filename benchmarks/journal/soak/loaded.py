"""All that a process of the soak needs, loaded once for all of them; every species works for a moment."""

from __future__ import annotations

import torch
from tqdm import tqdm

from benchmarks.journal.soak import checks, company  # noqa: F401
from benchmarks.journal.soak.child import SMALL
from benchmarks.journal.soak.problem import Rough
from benchmarks.journal.soak.steering import GRAPHS, QUICK
from nemo_lab import QuantizationProblem, load_workload
from nemo_lab.search import Engine, SearchOptions
from nemo_lab.search.species import make_species

torch.set_num_threads(1)
tqdm.monitor_interval = 0  # else it starts a thread


def warm() -> None:
    """Load compiled code and make lazy imports, in no thread: processes are forked from this one."""
    problem, options = Rough(), SearchOptions.make(**SMALL)
    problem.seconds = 0.0
    engine = Engine(problem, make_species((*QUICK, *GRAPHS), problem, options), options, 0)
    for _ in range(60):
        candidate = engine.ask()
        if candidate is not None:
            engine.tell(candidate, problem.evaluate(candidate.bits)[0])
    for number in range(len(engine.ledger.species)):
        engine.steering.reseed(number, "front", 0.2)
        engine.steering.reseed(number, "sensitivity", 0.2)
    digits = QuantizationProblem(load_workload("digits"))
    digits.evaluate([8] * digits.num_nodes)


warm()
