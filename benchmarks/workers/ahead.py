"""What the search gives up when it breeds from fewer answers: the same budget, more candidates in flight."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

import nemo_lab as nl
from benchmarks.search.foresight import COST
from benchmarks.search.meter import Meter
from benchmarks.search.problems import PROBLEMS

AHEAD = (0, 16, 32, 64, 128, 256)
CHECKPOINTS = (250, 500, 1000)


def searched(problem: str, seed: int, evaluations: int, **options: int) -> list[float]:
    """Normalised hypervolume of one search at each checkpoint."""
    meter = Meter(PROBLEMS[problem](), evaluations)
    study = nl.create_study(meter, seed=seed, **options)
    study.optimize(evaluations - COST, progress=False)  # the sensitivity is paid for, too
    return [meter.hypervolume(count) for count in CHECKPOINTS if count <= evaluations]


def table(problems: Sequence[str], seeds: int, evaluations: int) -> list[str]:
    """Lines of Markdown: the mean over seeds, and the spread."""
    counts = [count for count in CHECKPOINTS if count <= evaluations]
    lines = []
    for problem in problems:
        lines += ["", f"**{problem}**", ""]
        lines += [f"| in flight | {' | '.join(map(str, counts))} | lost at {counts[-1]} |"]
        lines += ["|---|" + "---|" * (len(counts) + 1)]
        first = None
        ways = [*({"ahead": ahead} for ahead in AHEAD), {"offspring": 64, "ahead": 0}]
        for way in ways:
            found = np.array([searched(problem, seed, evaluations, **way) for seed in range(seeds)])
            mean, spread = found.mean(axis=0), np.ptp(found, axis=0)
            first = mean if first is None else first
            name = f"`ahead={way['ahead']}`" if "offspring" not in way else "`offspring=64`, all waited for"
            cells = [f"{a:.4f} ± {b / 2:.4f}" for a, b in zip(mean, spread, strict=True)]
            lines += [f"| {name} | {' | '.join(cells)} | {100 * (1 - mean[-1] / first[-1]):.1f} % |"]
            print(lines[-1], file=sys.stderr, flush=True)
    return lines
