"""What it costs to begin: tracing and calibration, in passes of the plain network over the same images."""

from __future__ import annotations

import json

import torch
from torch import fx

import nemo_lab as nl
from benchmarks.evaluator.methods import plain
from benchmarks.evaluator.networks import Timed, pictures, vision
from benchmarks.evaluator.timing import fastest, in_turns, seconds_of

IMAGES = 64
RANGES = ("minmax", "percentile", "mse")


def measure(rounds: int) -> dict[str, float]:
    """Seconds of a plain pass, of tracing, and of a problem by each rule; of the very first problem, too."""
    net, images = vision("mobilenet_v2"), pictures(IMAGES)
    ways = plain(Timed(fx.symbolic_trace(net), images, (1, 2, 4, 8)))
    forward = ways[fastest(ways, 1)]
    data = images[:4], torch.zeros(4, dtype=torch.int64)

    def trace() -> nl.Workload:
        return nl.Workload.from_module(net, images[:1])

    first = seconds_of(lambda: nl.QuantizationProblem(trace(), images, data, threads=1))
    workload = trace()
    problems = {
        rule: lambda rule=rule: nl.QuantizationProblem(workload, images, data, threads=1, ranges=rule)
        for rule in RANGES
    }
    taken = in_turns({"plain": forward, "trace": trace, **problems}, 0, rounds)
    return {name: each.best for name, each in taken.items()} | {"first": first}


def section(seconds: dict[str, float]) -> str:
    """The section of the page."""
    passes = {name: each / seconds["plain"] for name, each in seconds.items()}
    usual = passes["trace"] + passes["minmax"]
    worst = max(passes["first"], usual)
    return "\n".join(
        [
            "## Beginning: mobilenet_v2, 64 calibration images",
            "",
            "In passes of the plain FP32 network over the same 64 images at its fastest batch size, one "
            "thread, best of several, taken in turns. `QuantizationProblem` folds, inserts quantizers, tries "
            "the layout and calibrates.",
            "",
            "| | passes |",
            "|---|---|",
            f"| `Workload.from_module` | {passes['trace']:.2f} |",
            *(f'| `QuantizationProblem(ranges="{rule}")` | {passes[rule]:.2f} |' for rule in RANGES),
            f"| both, the first in a process (default ranges) | {passes['first']:.2f} |",
            "",
            f"Goal: under 5 passes. Measured {usual:.2f}, {passes['first']:.2f} the first time: "
            f"**{'met' if worst < 5 else 'not met'}**.",
        ]
    ) + "\n"  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(1)
    print("\n" + json.dumps(measure(rounds=4)))
