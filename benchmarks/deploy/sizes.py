"""How many bytes a configuration takes, by format: ``python -m benchmarks.deploy.sizes``."""

from __future__ import annotations

import datetime
import importlib.metadata
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import nemo_lab as nl
from benchmarks.deploy.pages import RESULTS, replace_section
from nemo_lab.errors import NemoError
from nemo_lab.export import save_onnx, save_packed, save_torch

NETWORKS = ("digits", "fashion", "text")
UNIFORM = (8, 6, 4)
PACKAGES = ("torch", "onnx", "onnxscript", "safetensors")
TITLE = "## Sizes"
ABOUT = """Bytes, with `bias="int32"` and one scale for each tensor. *Mixed* has a width from 2 to 8 at random
for each node (seed 0). *Claimed* are the weights at their widths, *payload* is all that is stored
(`storage="payload"`), each with its ratio to float32. *Packed* is the payload with a header of names and
ranges, *ONNX* has integers of 4 or 8 bits, and *pt2* is a program in float32, for torch alone. *float32 ONNX*
is what torch writes of the network as it was trained."""


def float32_bytes(workload: nl.Workload, folder: Path) -> int:
    """Of the trained network as ONNX."""
    path, split = folder / "float32.onnx", workload.data.held_out
    torch.onnx.export(
        workload.module.eval(),
        (torch.from_numpy(split.inputs[:2]),),
        path,
        dynamo=True,
        external_data=False,
        verbose=False,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
    )
    return path.stat().st_size


def configurations(problem: nl.QuantizationProblem) -> dict[str, list[int]]:
    """Uniform ones, and a mixed one."""
    rows = {f"{width} bits": [width] * problem.num_nodes for width in UNIFORM}
    return {**rows, "mixed": np.random.default_rng(0).integers(2, 9, problem.num_nodes).tolist()}


def size(write: Any, problem: nl.QuantizationProblem, bits: list[int], path: Path) -> str:
    """Of a file, or why there is none."""
    try:
        write(problem, bits, path)
    except NemoError as refused:
        return f"refused: {refused.message}"
    return f"{path.stat().st_size:,}"


def rows(name: str, folder: Path) -> list[str]:
    """Of one network."""
    workload = nl.load_workload(name)
    problem = nl.QuantizationProblem(workload, bias="int32", storage="payload")
    claimed, full, lines = nl.CostModel(workload), float32_bytes(workload, folder), []
    for called, bits in configurations(problem).items():
        weights, payload = problem.stored_bytes(bits)
        cells = [
            f"{weights:,} ({claimed.evaluate(bits)[0, 0]:.3f})",
            f"{payload:,} ({problem.costs(bits)[0, 0]:.3f})",
            size(save_packed, problem, bits, folder / "net.safetensors"),
            size(save_onnx, problem, bits, folder / "net.onnx"),
            size(save_torch, problem, bits, folder / "net.pt2"),
            f"{full:,}",
        ]
        lines.append(f"| {name} | {called} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return lines


def section(networks: Sequence[str] = NETWORKS) -> str:
    """The part of the page."""
    with tempfile.TemporaryDirectory() as folder:
        lines = [line for name in networks for line in rows(name, Path(folder))]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    head = (
        "| network | configuration | claimed | payload | packed | ONNX | pt2 | float32 ONNX |\n|" + "---|" * 8
    )
    day = f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}"
    command = f"`OMP_NUM_THREADS=1 python -m benchmarks.deploy.sizes`, {day}, {versions}."
    return "\n\n".join([TITLE, command, ABOUT, "\n".join([head, *lines]), ""])


def main() -> None:
    """The command: the page with this part made anew."""
    torch.set_num_threads(1)
    replace_section(RESULTS, section())


if __name__ == "__main__":
    main()
