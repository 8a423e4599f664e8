"""What fine-tuning and corrected biases gain: ``python -m benchmarks.deploy.tuning``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import nemo_lab as nl
from benchmarks.deploy.pages import replace_section, written_by

RESULTS = Path(__file__).parent / "TUNING.md"
HEADING = "## What tuning gains"
ABOUT = """Accuracy on held-out examples; `bias="int32"`, all other settings by default. *Corrected*:
`nl.correct_bias`. The others are `nl.finetune`, mean over {seeds} seeds and the lowest and highest of them:
*LSQ* by default, taught by the network in full precision on the images that it was calibrated with, without
labels; *straight-through* the same with ranges of the weights as they are; *images* and *labels* on the
examples of the search in place of those: taught by full precision, or by labels alone. At most {steps} steps
of 64 examples. *Seconds*: processor time of one default training."""
WAYS: dict[str, dict[str, Any]] = {
    "LSQ": {},
    "straight-through": {"method": "straight_through"},
    "images": {"data": True},
    "labels": {"data": True, "teacher": "labels"},
}


def configurations(
    problem: nl.QuantizationProblem, members: int, evaluations: int
) -> Iterator[tuple[str, list[int]]]:
    """The smallest members of a front that are better than a guess by far, and two uniform widths."""
    study = nl.create_study(problem, seed=0).optimize(evaluations, progress=False)
    front = study.front().sort_values("model_ratio")
    usable = front[front.task_error <= front.task_error.min() + 0.2].index
    for member in usable[np.unique(np.linspace(0, len(usable) - 1, members).round().astype(int))]:
        yield f"member {member}", study.config(member).tolist()
    for width in (3, 4):
        yield f"{width} bits", [width] * problem.num_nodes


def row(
    name: str, called: str, problem: nl.QuantizationProblem, bits: list[int], steps: int, seeds: int
) -> str:
    """One line of the table."""
    data = problem.workload.data
    cells = [name, called, f"{np.mean(bits):.2f}", f"{1 - problem.error(bits, data.held_out)[0]:.3f}"]
    cells.append(f"{1 - nl.correct_bias(problem, bits).error(data.held_out):.3f}")
    seconds = 0.0
    for way, given in WAYS.items():
        settings = {**given, "data": data.search if given.get("data") else None}
        found = []
        for seed in range(seeds):
            begun = time.process_time()
            tuned = nl.finetune(problem, bits, steps=steps, seed=seed, progress=False, **settings)
            seconds = time.process_time() - begun if way == "LSQ" else seconds
            found.append(1 - tuned.error(data.held_out))
        cells.append(f"{np.mean(found):.3f} ({min(found):.3f} to {max(found):.3f})")
    return f"| {' | '.join([*cells, f'{seconds:.0f}'])} |"


def main() -> None:
    """Print the table, and write it beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workloads", nargs="+", default=["fashion", "digits"])
    parser.add_argument("--members", type=int, default=5)
    parser.add_argument("--evaluations", type=int, default=300)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    head = ["network", "configuration", "mean bits", "before", "corrected", *WAYS, "seconds"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    print(*lines, sep="\n", flush=True)
    for name in given.workloads:
        problem = nl.QuantizationProblem(nl.load_workload(name), bias="int32")
        for called, bits in configurations(problem, given.members, given.evaluations):
            lines.append(row(name, called, problem, bits, given.steps, given.seeds))
            print(lines[-1], flush=True)
    about = ABOUT.format(steps=given.steps, seeds=given.seeds)
    command = written_by("benchmarks.deploy.tuning", vars(given))
    replace_section(RESULTS, "\n".join([HEADING, "", command, "", about, "", *lines]))


if __name__ == "__main__":
    main()
