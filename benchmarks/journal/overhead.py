"""What a journal costs a run, and how long a long one takes to open.

``python -m benchmarks.journal.overhead`` writes OVERHEAD.md.

The processor time of whole runs differs by more than a journal costs, so two figures are given: the share
of a run's processor time that is spent inside the code a journal adds, and the ratio of whole runs with and
without one, in turn, with the interval of its median by resampling.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import nemo_lab as nl
from nemo_lab.search import Evaluations
from nemo_lab.study.journal import Header, Journal, StoredProblem
from nemo_lab.study.journal.recorder import Recorder

HERE = Path(__file__).parent
EVALUATIONS = 400
LONG, NODES = 100_000, 244
FEW = 0.03  # goal: share of a run


def run(problem: nl.QuantizationProblem, path: Path | None) -> tuple[float, float]:
    """Processor seconds of a digits run, and those of them inside what a journal adds to it."""
    problem._found.clear()  # so that each run pays for its evaluations
    study = nl.create_study(problem, storage=path)
    study.prepare()
    inside.clear()
    cpu = time.process_time()
    study.optimize(EVALUATIONS, progress=False)
    took = time.process_time() - cpu
    study.close()
    return took, sum(inside)


inside: list[float] = []
keep = Recorder.keep


def timed_keep(self: Recorder, engine: Any, run: Any, *, end: bool) -> None:
    """Keep and note the processor time of it, but that of the hypervolume, which every run computes."""
    engine.hypervolume()
    began = time.thread_time()
    keep(self, engine, run, end=end)
    inside.append(time.thread_time() - began)


def interval(ratios: np.ndarray) -> tuple[float, float]:
    """95 % interval of the median, by resampling."""
    drawn = np.random.default_rng(0).choice(ratios, (10_000, len(ratios)))
    low, high = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
    return float(low), float(high)


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
        np.ones(LONG, np.int32),
        np.zeros(LONG, np.int32),
    )
    with Journal.create(path, header) as journal:
        journal.write(
            evaluations=log,
            history=(),
            record=(),
            checkpoint=None,
            status={"state": "finished", "target": LONG},
        )


def main() -> None:
    """Run both ways in turn, open the long one, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=24)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    Recorder.keep = timed_keep  # type: ignore[method-assign]
    problem = nl.QuantizationProblem(nl.load_workload("digits"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(problem, None)  # compiles
        ratios, shares, plain = [], [], 0.0
        for repeat in range(options.repeats):
            for storage in (None, folder / f"{repeat}.sqlite")[:: 1 if repeat % 2 else -1]:
                seconds, within = run(problem, storage)
                if storage is None:
                    plain = seconds
                else:
                    kept, share = seconds, within / (seconds - within)
            ratios.append(kept / plain - 1)
            shares.append(share)
            print(f"without {plain:.2f} s, with {kept:.2f} s, inside the journal {share:.1%}", flush=True)
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
    low, high = interval(np.array(ratios))
    lines = [
        "# What a journal costs",
        "",
        f"`OMP_NUM_THREADS=1 python -m benchmarks.journal.overhead --repeats {options.repeats}`: digits, "
        f"{EVALUATIONS} evaluations, default preset, with and without `storage=` in turn; medians.",
        "",
        "| what | measured | goal |",
        "| --- | --- | --- |",
        f"| processor time inside what a journal adds, of the rest of the run | "
        f"{statistics.median(shares):.1%} ({min(shares):.1%} to {max(shares):.1%}) | {FEW:.0%} |",
        f"| processor time of a whole run with a journal, more than of one without | "
        f"{statistics.median(ratios):.1%} (95 % interval {low:.1%} to {high:.1%}, single pairs "
        f"{min(ratios):.0%} to {max(ratios):.0%}) | {FEW:.0%} |",
        f"| size of the file after {EVALUATIONS} evaluations | {size:.1f} MB | |",
        f"| open {LONG:,} evaluations of {NODES} nodes ({long_size:.0f} MB) | "
        f"{statistics.median(opened):.2f} s ({min(opened):.2f} to {max(opened):.2f}) | 2 s |",
        f"| its front as a DataFrame ({len(front)} members) | {statistics.median(fronts):.3f} s | 1 s |",
    ]
    (HERE / "OVERHEAD.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
