"""What widths do to the time of the embedded networks: ``python -m benchmarks.deploy.latency``."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

import nemo_lab as nl
from benchmarks.deploy.pages import RESULTS, replace_section
from nemo_lab.export import measure_latency, save_onnx
from nemo_lab.export.latency import Latency
from nemo_lab.export.runtimes.onnx_profile import TimedSession

TITLE = "## What widths do to time"
NETWORKS = ("digits", "fashion", "text")
INTEGER, HALF_BYTE = 8, 4
ABOUT = """Milliseconds of one example on one thread, `bias="int32"`; *of float32* is the ratio to the same
network in float32 in the same runtime. The remainder is the time of no node; the spread half of the distance
between the quartiles of single runs, as a share of their median, where it is largest."""
MIXED = """A table is a sum over nodes, and a network of several widths is more than that. Here both are held
against each other: the time as a ratio to that of 8 bits everywhere, first by the table (with the remainder
of 8 bits), then measured, both networks taking turns. *Random* is a width of 2 to 8 bits for each node."""


def line(name: str, found: Latency) -> str:
    """One row of the first table."""
    cells = [f"{found.float_ms:.3f}"]
    for width in (INTEGER, 5, HALF_BYTE):
        total = float(found.total_ms[width])
        cells += [f"{total:.3f}", f"{total / found.float_ms:.2f}"]
    cells += [f"{found.remainder_ms[width]:.3f}" for width in (INTEGER, HALF_BYTE)]
    cells += [f"{100 * found.spread:.0f} %", f"{found.seconds:.0f} s"]
    return f"| {name} | {' | '.join(cells)} |"


def mixtures(problem: nl.QuantizationProblem) -> Iterator[tuple[str, Mapping[str, int]]]:
    """Configurations of more than one width."""
    for called, widths in (("weights 4, activations 8", (4, 8)), ("weights 8, activations 4", (8, 4))):
        yield (
            called,
            {node.name: widths[node.kind == "activation"] for node in problem.workload.nodes},
        )
    drawn = np.random.default_rng(0).integers(2, 9, problem.num_nodes).tolist()
    yield "random", dict(zip(problem.node_names, drawn, strict=True))


def session(problem: nl.QuantizationProblem, bits: int | Mapping[str, int]) -> TimedSession:
    """A configuration as it is deployed."""
    with tempfile.TemporaryDirectory() as folder:
        model = save_onnx(problem, bits, f"{folder}/net.onnx").path.read_bytes()
    return TimedSession(model, problem.title, 1, [tensor[:1] for tensor in problem.task().batches[0][0]])


def mixed(name: str, problem: nl.QuantizationProblem, found: Latency, runs: int) -> Iterator[str]:
    """Rows of the second table."""
    several = dict(mixtures(problem))
    sessions = {called: session(problem, bits) for called, bits in several.items()}
    uniform = session(problem, INTEGER)
    for _ in range(0, runs, 5):
        for one in (uniform, *sessions.values()):
            one.run(5)
    for called, bits in several.items():
        cost = sum(found.table.loc[node, width] for node, width in bits.items()) + found.remainder_ms[INTEGER]
        told, seen = (
            cost / found.total_ms[INTEGER],
            np.median(sessions[called].times) / np.median(uniform.times),
        )
        yield f"| {name} | {called} | {told:.2f} | {seen:.2f} |"


def section(lines: Sequence[str], others: Sequence[str], runtime: str, runs: int) -> str:
    """What goes to the end of the page."""
    head = "| network | float32 | 8 bits | of float32 | 5 to 7 bits | of float32 | 2 to 4 bits (uint4) "
    head += "| of float32 | remainder, 8 bits | 2 to 4 bits | spread | measuring took |\n|" + "---|" * 12
    second = "| network | configuration | by the table | measured |\n|" + "---|" * 4
    load = ", ".join(f"{one:.0f}" for one in os.getloadavg())
    told = (
        f"`OMP_NUM_THREADS=1 python -m benchmarks.deploy.latency`, "
        f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}, {platform.machine()}, {runtime}, {runs} runs. "
        f"The machine was busy: its load over the last 1, 5 and 15 minutes was {load}, on {os.cpu_count()} "
        "processors."
    )
    return "\n\n".join([TITLE, told, ABOUT, "\n".join([head, *lines]), MIXED, "\n".join([second, *others])])


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deploy.latency", description=__doc__)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--runs", type=int, default=300, help="of each file")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    lines, others = [], []
    for name in options.networks:
        problem = nl.QuantizationProblem(nl.load_workload(name), bias="int32")
        found = measure_latency(problem, runs=options.runs)
        lines.append(line(name, found))
        print(found, lines[-1], sep="\n", flush=True)
        for row in mixed(name, problem, found, options.runs):
            others.append(row)
            print(row, flush=True)
    replace_section(options.output, section(lines, others, found.runtime, options.runs))


if __name__ == "__main__":
    main()
