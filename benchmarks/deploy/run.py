"""From a front to files that agree with it: ``python -m benchmarks.deploy.run``."""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import platform
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

import nemo_lab as nl
from benchmarks.deploy import sizes
from benchmarks.deploy.pages import RESULTS, replace_section
from nemo_lab.errors import ExportError
from nemo_lab.export import save_onnx, save_packed

PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime")
MEMBERS = {"fashion": 10, "digits": 5, "text": 5}
UNIFORM = (2, 3, 4, 5, 6, 7, 8)
ABOUT = """Each configuration has `bias="int32"`, is written, read again and run on all held-out examples.
*Differs* is the largest difference of two outputs as a share of the range of all, *agree* the share of
predictions that are the same, *in integers* the operations that ONNX Runtime computes with integers by
default. Bytes: *claimed* are those of the weights at their widths, as the model ratio counts them.
[RUNTIMES.md](RUNTIMES.md) has what other tools make of the files."""
BIAS = """## What a front loses by int32 biases

The front of a search in which biases stay in full precision, its members measured again with `bias="int32"`,
and the other way round: the error on held-out examples, mean over the members, and the most that one of them
changes. First five columns: found with biases in full precision; last five: found with int32 biases."""


def configurations(
    problem: nl.QuantizationProblem, count: int, evaluations: int
) -> Iterator[tuple[str, list[int]]]:
    """So many members of a front, evenly by size, and all uniform widths."""
    study = nl.create_study(problem, seed=0).optimize(evaluations, progress=False)
    front = study.front().sort_values("model_ratio").index
    for member in np.unique(np.linspace(0, len(front) - 1, count).round().astype(int)):
        yield f"member {front[member]}", study.config(front[member]).tolist()
    for width in UNIFORM:
        yield f"{width} bits", [width] * problem.num_nodes


def row(name: str, called: str, problem: nl.QuantizationProblem, bits: list[int], folder: Path) -> str:
    """One line of the table."""
    weights = [(n, b) for n, b in zip(problem.workload.nodes, bits, strict=True) if n.kind == "weight"]
    claimed = sum(node.params * width for node, width in weights) // 8
    packed = save_packed(problem, bits, folder / "net.safetensors").stat().st_size
    error = problem.error(bits, problem.workload.data.held_out)[0]
    try:
        found = save_onnx(problem, bits, folder / "net.onnx")
    except ExportError as refused:
        return (
            f"| {name} | {called} | {error:.3f} | refused: {refused} | | | | | {claimed:,} | {packed:,} | |"
        )
    off, default, *_ = found.runs
    cells = [
        f"{off.difference:.0e}", f"{100 * off.agreement:.2f} %", f"{default.difference:.0e}",
        f"{100 * default.agreement:.2f} %", str(default.integers), f"{claimed:,}", f"{packed:,}",
        f"{found.bytes:,}",
    ]  # fmt: skip
    return f"| {name} | {called} | {error:.3f} | {' | '.join(cells)} |"


def of_biases(name: str, evaluations: int) -> str:
    """What members of one kind of front lose as the other kind."""
    workload, cells = nl.load_workload(name), []
    problems = {bias: nl.QuantizationProblem(workload, bias=bias) for bias in ("float", "int32")}
    for problem in problems.values():
        study = nl.create_study(problem, seed=0).optimize(evaluations, progress=False)
        bits = np.array([study.config(one).to_numpy() for one in study.front().index])
        errors = {other: one.error(bits, workload.data.held_out) for other, one in problems.items()}
        change = errors["int32"] - errors["float"]
        cells += [f"{len(bits)}", f"{errors['float'].mean():.4f}", f"{errors['int32'].mean():.4f}"]
        cells += [f"{np.abs(change).max():.4f}", f"{study.snapshot.hypervolume:.4f}"]
    return f"| {name} | {' | '.join(cells)} |"


def page(lines: Sequence[str], biases: Sequence[str], evaluations: int) -> str:
    """The whole page."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    head = "| network | configuration | error, held out | off: differs | agree | default: differs | agree "
    head += "| in integers | claimed | packed | ONNX |\n|" + "---|" * 11
    of = "| members | error, float | error, int32 | most | hypervolume "
    bias_head = f"| network {of}{of}|\n|" + "---|" * 11
    return "\n\n".join(
        [
            "# From a front to files",
            f"`OMP_NUM_THREADS=1 python -m benchmarks.deploy.run`, "
            f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}, "
            f"{platform.machine()}, Python {platform.python_version()}, {versions}; fronts of {evaluations} "
            "evaluations, seed 0.",
            ABOUT,
            "\n".join([head, *lines]),
            BIAS,
            "\n".join([bias_head, *biases]),
            "",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deploy.run", description=__doc__)
    parser.add_argument("--networks", nargs="+", choices=list(MEMBERS), default=list(MEMBERS))
    parser.add_argument("--evaluations", type=int, default=250, help="of each search")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    lines, biases = [], []
    for name in options.networks:
        problem = nl.QuantizationProblem(nl.load_workload(name), bias="int32")
        with tempfile.TemporaryDirectory() as folder:
            for called, bits in configurations(problem, MEMBERS[name], options.evaluations):
                lines.append(row(name, called, problem, bits, Path(folder)))
                print(lines[-1], flush=True)
        biases.append(of_biases(name, options.evaluations))
        print(biases[-1], flush=True)
    old = options.output.read_text(encoding="utf-8") if options.output.exists() else ""
    others = old.partition(sizes.TITLE)
    options.output.write_text(
        page(lines, biases, options.evaluations) + others[1] + others[2], encoding="utf-8"
    )
    replace_section(options.output, sizes.section(options.networks))


if __name__ == "__main__":
    main()
