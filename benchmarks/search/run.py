"""Compare search methods at the same number of evaluations.

``python -m benchmarks.search.run --workload fashion --evaluations 1000 --seeds 3``
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import nemo_lab as nl
from benchmarks.search import held_out, report
from benchmarks.search.meter import Meter
from benchmarks.search.methods import METHODS, Method

RESULTS = Path(__file__).parent / "RESULTS.md"


@dataclass(frozen=True)
class Run:
    """One run of one method.

    Attributes:
        method: which.
        seed: of the run.
        calls: evaluator calls made.
        distinct: different configurations among them.
        hypervolume: at each checkpoint, normalised.
        evaluator: milliseconds in the evaluator per call.
        overhead: milliseconds outside of it per call.
    """

    method: Method
    seed: int
    calls: int
    distinct: int
    hypervolume: tuple[float, ...]
    evaluator: float
    overhead: float


def run_once(
    method: Method, problem: nl.QuantizationProblem, budget: int, seed: int, checkpoints: Sequence[int]
) -> tuple[Run, Meter]:
    """Spend one budget with one method."""
    meter = Meter(problem, budget)
    began = time.perf_counter()
    method.run(meter, seed)
    seconds = time.perf_counter() - began
    run = Run(
        method=method,
        seed=seed,
        calls=len(meter),
        distinct=meter.distinct,
        hypervolume=tuple(meter.hypervolume(count) for count in checkpoints),
        evaluator=1000 * meter.seconds / len(meter),
        overhead=1000 * (seconds - meter.seconds) / len(meter),
    )
    return run, meter


def compare(
    workload: nl.Workload, methods: Sequence[Method], budget: int, seeds: int, checkpoints: Sequence[int]
) -> tuple[list[Run], list[held_out.Member]]:
    """Every method on every seed, and five members of the first NEMO run's front on held-out data."""
    problem = nl.QuantizationProblem(workload)
    for method in methods:  # imports, compiled kernels, quantized weights: paid before the clock runs
        method.run(Meter(problem, 2 * 48), 0)
    runs: list[Run] = []
    members: list[held_out.Member] = []
    for seed in range(seeds):
        for method in methods:
            if seed > 0 and not method.seeded:
                continue
            run, meter = run_once(method, problem, budget, seed, checkpoints)
            runs.append(run)
            print(
                f"{workload.name} {method.name} seed {seed}: {run.calls} calls, "
                f"hypervolume {' '.join(f'{value:.4f}' for value in run.hypervolume)}, "
                f"{run.evaluator:.1f} + {run.overhead:.2f} ms",
                flush=True,
            )
            if method.name == "nemo" and seed == 0:
                members = held_out.front_members(meter)
    return runs, members


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search.run", description=__doc__)
    parser.add_argument("--workload", default="fashion", help="a workload of the zoo that comes with data")
    parser.add_argument("--evaluations", type=int, default=1000, help="budget of every run")
    parser.add_argument("--seeds", type=int, default=3, help="runs of every method that draws at random")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument(
        "--output", type=Path, default=RESULTS, help="Markdown file; its other workloads stay"
    )
    options = parser.parse_args(arguments)
    if options.evaluations < 100 or options.seeds < 1:
        parser.error("give at least 100 evaluations and 1 seed")
    budget = options.evaluations
    checkpoints = sorted({int(n) for n in np.array([0.25, 0.5, 1.0]) * budget})
    workload = nl.load_workload(options.workload)
    methods = [METHODS[name] for name in options.methods]
    runs, members = compare(workload, methods, budget, options.seeds, checkpoints)
    command = (
        f"python -m benchmarks.search.run --workload {workload.name} --evaluations {budget} "
        f"--seeds {options.seeds}"
    )
    if len(methods) < len(METHODS):
        command += " --methods " + " ".join(options.methods)
    section = report.section(workload, runs, members, checkpoints, command)
    report.write(options.output, workload.name, section)
    print(section)


if __name__ == "__main__":
    main()
