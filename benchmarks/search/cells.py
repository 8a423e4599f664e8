"""One cell of the comparison: a method with a seed on a problem, in a process of its own kind."""

from __future__ import annotations

import functools
import os
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.search import held_out
from benchmarks.search.meter import Meter
from benchmarks.search.methods import METHODS
from benchmarks.search.problems import PROBLEMS

CHECKPOINTS = (50, 100, 250, 500, 1000, 3000)
HELD_OUT = ("default", 0)  # method and seed whose front is tried on held-out images


@dataclass(frozen=True, order=True)
class Cell:
    """What is run.

    Attributes:
        problem, method: names in ``PROBLEMS`` and ``METHODS``.
        evaluations: budget.
        seed: of the method.
    """

    problem: str
    evaluations: int
    method: str
    seed: int


def checkpoints(evaluations: int) -> list[int]:
    """Numbers of evaluations at which a budget is looked at, itself the last one."""
    return [count for count in CHECKPOINTS if count < evaluations] + [evaluations]


def run(cell: Cell) -> dict[str, Any]:
    """Run a cell.

    Returns:
        The cell's fields; ``hypervolume`` ``at`` each checkpoint, None where the method's limit is before it;
        ``calls`` and ``distinct`` configurations among them; milliseconds per call in the ``evaluator`` and
        outside of it (``overhead``); ``members`` of the front on held-out images, where asked for.
    """
    method = METHODS[cell.method]
    _warm_up(cell.problem, cell.method)
    problem = PROBLEMS[cell.problem]()
    limit = method.limit(problem.num_nodes) if method.limit else cell.evaluations
    meter = Meter(problem, min(limit, cell.evaluations))
    began = time.perf_counter()
    method.run(meter, cell.seed)
    seconds = time.perf_counter() - began
    result = asdict(cell) | {
        "at": checkpoints(cell.evaluations),
        "hypervolume": [
            round(meter.hypervolume(count), 5) if count <= limit else None
            for count in checkpoints(cell.evaluations)
        ],
        "calls": len(meter),
        "distinct": meter.distinct,
        "evaluator": round(1000 * meter.seconds / len(meter), 4),
        "overhead": round(1000 * (seconds - meter.seconds) / len(meter), 4),
    }
    if (cell.method, cell.seed) == HELD_OUT and (members := held_out.front_members(meter)):
        result["members"] = [asdict(member) for member in members]
    return result


def quiet() -> None:
    """Set up a worker process: HiGHS prints remarks that no option turns off."""
    sys.stdout.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


@functools.cache
def _warm_up(problem: str, method: str) -> None:
    """Imports and compiled kernels, paid before the clock runs."""
    METHODS[method].run(Meter(PROBLEMS[problem](), 2 * 48), 10**6)
