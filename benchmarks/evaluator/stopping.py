"""How long a stop takes: ``python -m benchmarks.evaluator.stopping``; writes STOPPING.md beside it.

A run is stopped at random instants; the time from ``stop()`` to ``wait()`` returning is set beside the
time of one candidate and of one batch of images, measured before and after in the same process.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import nemo_lab as nl
from benchmarks.evaluator.networks import pictures, vision

PAGE = Path(__file__).with_name("STOPPING.md")
WORKERS = (1, 3)


def fashion() -> nl.QuantizationProblem:
    """The embedded network on 20,000 images: its own, again and again."""
    workload = nl.load_workload("fashion")
    assert workload.data is not None
    split = workload.data.search
    rows = np.arange(20_000) % len(split.labels)
    return nl.QuantizationProblem(workload, data=(split.inputs[rows], split.labels[rows]))


def mobilenet() -> nl.QuantizationProblem:
    """MobileNet-V2 with random weights on 64 images of 224x224, 8 in a batch."""
    images = pictures(64)
    workload = nl.Workload.from_module(vision("mobilenet_v2"), images[:1])
    labels = torch.arange(64) % 1000
    return nl.QuantizationProblem(workload, calibration=images[:8], data=(images, labels), batch_size=8)


def of_a_candidate(problem: nl.QuantizationProblem, seed: int, repeats: int = 3) -> list[float]:
    """Seconds of lone configurations that nothing is known of, in a thread as those of a run.

    The main thread may be far slower or faster: torch has a pool of threads for each.
    """
    rng = np.random.default_rng(seed)
    taken = []
    for _ in range(1 + repeats):
        bits = rng.choice(problem.bit_widths, size=(1, problem.num_nodes))
        thread = threading.Thread(target=problem.evaluate, args=(bits,))
        began = time.perf_counter()
        thread.start()
        thread.join()
        taken.append(time.perf_counter() - began)
    return taken[1:]


def of_a_stop(problem: nl.QuantizationProblem, workers: int, candidate: float, repeats: int) -> list[float]:
    """Seconds from ``stop()`` to the end of ``wait()``, at random instants of a run."""
    rng = np.random.default_rng(workers)
    study = nl.create_study(problem, species=("floor",), population=12, min_size=2, workers=workers)
    study.prepare()
    taken = []
    for _ in range(repeats):
        study.start(100_000)
        time.sleep(candidate * rng.uniform(0.1, 1.1))
        began = time.perf_counter()
        study.stop()
        study.wait()
        taken.append(time.perf_counter() - began)
    return taken


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=30, help="stops of each kind")
    repeats = parser.parse_args().repeats
    lines = [
        "# How long a stop takes",
        "",
        f"`python -m benchmarks.evaluator.stopping --repeats {repeats}`",
        "",
        "| problem | workers | one candidate | one batch | stop, median | stop, longest |",
        "|---|---|---|---|---|---|",
    ]
    problems: dict[str, Callable[[], Any]] = {
        "`fashion`, 20,000 images": fashion,
        "MobileNet-V2, 64 images": mobilenet,
    }
    for title, make in problems.items():
        problem = make()
        before = of_a_candidate(problem, seed=0)
        found = [of_a_stop(problem, workers, min(before), repeats) for workers in WORKERS]
        candidate = statistics.median([*before, *of_a_candidate(problem, seed=1)])
        batch = candidate / len(problem._task.batches)
        for workers, taken in zip(WORKERS, found, strict=True):
            numbers = (candidate, batch, statistics.median(taken), max(taken))
            cells = " | ".join(f"{1000 * seconds:,.0f} ms" for seconds in numbers)
            lines.append(f"| {title} | {workers} | {cells} |")
            print(lines[-1], flush=True)
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
