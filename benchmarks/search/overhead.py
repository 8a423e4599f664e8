"""What the search costs beside evaluation, and how its memory grows.

``python -m benchmarks.search.overhead``

Population 48, 244 nodes (ResNeXt-101), synthetic accuracy; processor time outside of ``evaluate``.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil

from benchmarks.search.problems import NETWORKS, SyntheticProblem
from nemo_lab.search import Engine, SearchOptions
from nemo_lab.search.presets import PRESETS
from nemo_lab.search.species import make_species

RESULTS = Path(__file__).parent / "OVERHEAD.md"
MARKS = (250, 1000, 3000, 10_000, 20_000)
LIMIT = 5.0  # milliseconds per evaluation


def run(problem: SyntheticProblem, preset: str, evaluations: int) -> list[tuple[int, float, float, int]]:
    """Rows of (evaluations, milliseconds per evaluation so far, those of the last stretch, MB resident)."""
    chosen = PRESETS[preset]
    options = SearchOptions.make(**chosen.options)
    engine = Engine(problem, make_species(chosen.species, problem, options), options, 0)
    process, rows = psutil.Process(), []
    spent = before = 0.0
    last = 0
    for count in range(1, evaluations + 1):
        began = time.process_time()
        candidate = engine.ask()
        spent += time.process_time() - began
        if candidate is None:
            raise RuntimeError("the engine has nothing to ask")
        objectives = problem.evaluate(candidate.bits[None])[0]
        began = time.process_time()
        engine.tell(candidate, objectives)
        spent += time.process_time() - began
        if count in MARKS:
            memory = process.memory_info().rss // 10**6
            rows.append((count, 1e3 * spent / count, 1e3 * (spent - before) / (count - last), memory))
            before, last = spent, count
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search.overhead", description=__doc__)
    parser.add_argument("--evaluations", type=int, default=20_000)
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    problem = SyntheticProblem(NETWORKS[-1])
    run(problem, "default", 100)  # imports and compiled kernels
    lines = [
        "# The search beside evaluation",
        "",
        f"`OMP_NUM_THREADS=1 python -m benchmarks.search.overhead`; {problem.num_nodes} nodes, 48 members; "
        f"goal: under {LIMIT:.0f} ms an evaluation. Times are the processor's, on a machine with other work.",
        "",
        "| preset | evaluations | ms / evaluation, all | ms / evaluation, last stretch | MB resident |",
        "| --- | --- | --- | --- | --- |",
    ]
    for preset in PRESETS:
        for count, mean, recent, memory in run(problem, preset, options.evaluations):
            lines.append(f"| {preset} | {count:,} | {mean:.2f} | {recent:.2f} | {memory} |")
            print(lines[-1], flush=True)
    bits = problem.num_nodes + 8 * (len(problem.objective_names) + 1)
    lines += [
        "",
        f"Of the memory, {np.round(bits * options.evaluations / 1e6)} MB are the evaluations' own table.",
    ]
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
