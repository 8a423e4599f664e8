"""What a journal costs a run, and how long a long one takes to open.

``python -m benchmarks.journal.overhead`` writes OVERHEAD.md.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

import nemo_lab as nl
from nemo_lab.search import Evaluations
from nemo_lab.study.journal import Header, Journal, StoredProblem

HERE = Path(__file__).parent
EVALUATIONS = 400
LONG, NODES = 100_000, 244
FEW = 0.03  # goal: share of a run


def run(problem: nl.QuantizationProblem, path: Path | None) -> tuple[float, float]:
    """Wall and processor seconds of a digits run."""
    problem._found.clear()  # so that each run pays for its evaluations
    study = nl.create_study(problem, storage=path)
    study.prepare()
    began, cpu = time.perf_counter(), time.process_time()
    study.optimize(EVALUATIONS, progress=False)
    took = time.perf_counter() - began, time.process_time() - cpu
    study.close()
    return took


def long_journal(path: Path) -> None:
    """A finished study of ``LONG`` evaluations."""
    rng = np.random.default_rng(0)
    problem = StoredProblem(
        NODES,
        tuple(f"node{i}" for i in range(NODES)),
        tuple(range(2, 9)),
        ("task_error", "model_ratio", "bitop_ratio"),
        rng.random((NODES, 8)).astype(np.float32),
        np.stack([np.arange(NODES - 1), np.arange(1, NODES)]),
        np.array([[0.0] * 3, [1.0] * 3]),
        "a long run",
    )
    options = vars(nl.create_study("digits").options)
    header = Header("long", 0, ("floor",), options, 1, problem, None, {"workload": "x"}, {}, "2026-01-01")
    log = Evaluations(
        rng.integers(2, 9, (LONG, NODES)).astype(np.uint8),
        rng.random((LONG, 3)),
        np.zeros(LONG, np.int16),
        np.ones(LONG, np.int16),
        np.arange(LONG, dtype=np.int32) // 48,
    )
    with Journal.create(path, header) as journal:
        journal.write(
            evaluations=log,
            history=(),
            steers=(),
            checkpoint=None,
            status={"state": "finished", "target": LONG},
        )


def main() -> None:
    """Run both ways in turn, open the long one, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    problem = nl.QuantizationProblem(nl.load_workload("digits"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(problem, None)  # compiles
        pairs = []
        for repeat in range(options.repeats):
            plain = run(problem, None)
            kept = run(problem, folder / f"{repeat}.sqlite")
            pairs.append((kept[0] / plain[0] - 1, kept[1] / plain[1] - 1, plain[0], kept[0]))
            print(f"without {plain[0]:.2f} s, with {kept[0]:.2f} s", flush=True)
        size = os.path.getsize(folder / "0.sqlite") / 1e6
        path = folder / "long.sqlite"
        long_journal(path)
        opened, fronts = [], []
        for _ in range(5):
            began = time.perf_counter()
            study = nl.load_study(path, read_only=True)
            opened.append(time.perf_counter() - began)
            began = time.perf_counter()
            front = study.front()
            fronts.append(time.perf_counter() - began)
            study.close()
        long_size = os.path.getsize(path) / 1e6
    wall, cpu = (100 * statistics.median(pair[i] for pair in pairs) for i in (0, 1))
    spread = [100 * pair[1] for pair in pairs]
    lines = [
        "# What a journal costs",
        "",
        f"`python -m benchmarks.journal.overhead --repeats {options.repeats}`: digits, {EVALUATIONS} "
        "evaluations, default preset, with and without `storage=` in turn; medians of the ratios of each "
        "pair, less one.",
        "",
        "| what | measured | goal |",
        "| --- | --- | --- |",
        f"| processor time of a run, more with a journal | {cpu:.1f} % "
        f"({min(spread):.1f} to {max(spread):.1f}) | {100 * FEW:.0f} % |",
        f"| wall time of a run, more with a journal | {wall:.1f} % | {100 * FEW:.0f} % |",
        f"| size of the file after {EVALUATIONS} evaluations | {size:.1f} MB | |",
        f"| open {LONG:,} evaluations of {NODES} nodes ({long_size:.0f} MB) | "
        f"{statistics.median(opened):.2f} s ({min(opened):.2f} to {max(opened):.2f}) | 2 s |",
        f"| its front as a DataFrame ({len(front)} members) | {statistics.median(fronts):.3f} s | 1 s |",
    ]
    (HERE / "OVERHEAD.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
