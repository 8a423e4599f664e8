"""What an evaluation of a network with attention costs over a plain forward of the same examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

import nemo_lab as nl
from benchmarks.evaluator.timing import Taken, Task, fastest, in_turns
from benchmarks.search import sentences

GOAL = 1.15
CHOICES = ("operands", "all")  # which activations are decisions
Built = tuple[Callable[[int], nl.QuantizationProblem], nn.Module, tuple[Tensor, ...]]
SIZES = (16, 32, 64, 128, 256)  # examples per forward pass


def _text(activations: str) -> Built:
    known = nl.load_workload("text")
    assert known.data is not None
    data = known.data.search
    module, windows = known.module, torch.as_tensor(data.inputs)
    workload = nl.Workload.from_module(module, windows[:2], activations=activations)

    def problem(size: int) -> nl.QuantizationProblem:
        return nl.QuantizationProblem(
            workload, windows[:32], data, "perplexity", batch_size=size, threads=1, kept_mb=0
        )

    return problem, module, (windows,)


def _minilm(activations: str) -> Built:
    workload = sentences.workload(activations=activations)

    def problem(size: int) -> nl.QuantizationProblem:
        return sentences.problem(workload, batch_size=size, threads=1, kept_mb=0)

    return problem, workload.module, tuple(sentences.parts()["search"].values())


NETWORKS = {"text": _text, "all-MiniLM-L6-v2": _minilm}


def _plain(module: nn.Module, inputs: tuple[Tensor, ...], size: int) -> Task:
    parts = list(zip(*(one.split(size) for one in inputs), strict=True))

    def run() -> None:
        with torch.inference_mode():
            for part in parts:
                module(*part)

    return run


def _ours(problem: nl.QuantizationProblem) -> Task:
    rng = np.random.default_rng(0)

    def run() -> None:
        problem.evaluate(rng.choice(np.arange(2, 9), problem.num_nodes))

    return run


def measure(seconds: float) -> dict[tuple[str, str], dict[str, Taken]]:
    """For each network and choice of activations: a candidate, and the plain forward, in turns."""
    found = {}
    for name, build in NETWORKS.items():
        for activations in CHOICES:
            problem, module, inputs = build(activations)
            sizes = [size for size in SIZES if size <= len(inputs[0])]
            plain: Mapping[str, Task] = {str(size): _plain(module, inputs, size) for size in sizes}
            ours: Mapping[str, Task] = {str(size): _ours(problem(size)) for size in sizes}
            tasks = {"plain": plain[fastest(plain, 1)], "candidate": ours[fastest(ours, 1)]}
            found[name, activations] = in_turns(tasks, seconds)
            print(name, activations, found[name, activations], flush=True)
    return found


def section(found: Mapping[tuple[str, str], Mapping[str, Taken]]) -> str:
    """The section of the page."""
    ratios = {
        key: (each["candidate"].best / each["plain"].best, each["candidate"].median / each["plain"].median)
        for key, each in found.items()
    }
    most = max(best for best, _ in ratios.values())
    lines = [
        "## Networks with attention",
        "",
        "`problem.evaluate` of random widths, new ones each time, with `kept_mb=0`, over the plain forward "
        "of the same examples, each at its fastest batch size, one process, one thread, in turns; best "
        "of several, in brackets the ratio of the medians. `text`: all windows that its search measures; "
        "all-MiniLM-L6-v2: 64 sentences of up to 32 tokens. *Operands*: only what a product of two "
        "activations reads is a decision, the default for such networks.",
        "",
        "| network | activations | candidate / plain forward | ms per candidate |",
        "|---|---|---|---|",
        *(
            f"| {name} | {activations} | {ratios[name, activations][0]:.2f} "
            f"({ratios[name, activations][1]:.2f}) | {1000 * each['candidate'].best:.0f} |"
            for (name, activations), each in found.items()
        ),
        "",
        f"Goal: at most {GOAL} plain forwards. Measured at most {most:.2f}: "
        f"**{'met' if most <= GOAL else 'not met'}**.",
    ]
    return "\n".join(lines) + "\n"
