"""Cost and behaviour of a candidate: ``python -m benchmarks.evaluator.run --peers PYTHON``.

PYTHON is an interpreter that can import torch, numpy, nncf and brevitas (and onnx, for the faster of
brevitas' modes); without it they are looked for in this one, and left out where they are missing.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import os
import platform
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

import nemo_lab as nl
from benchmarks.evaluator import accuracy, attention, networks, search, setup, speed

RESULTS = Path(__file__).parent / "RESULTS.md"
PARTS = ("speed", "attention", "search", "setup", "accuracy")


def section(part: str, options: argparse.Namespace) -> str:
    """Measure one part of the page."""
    if part == "speed":
        with tempfile.TemporaryDirectory() as folder:
            names = list(networks.SIZES)
            cells = speed.measure(names, options.peers, options.seconds, Path(folder))
        return speed.section(cells, names)
    if part == "attention":
        return attention.section(attention.measure(options.seconds))
    if part == "search":
        found, repeated = search.measure(options.evaluations)
        return search.section(found, repeated, options.evaluations)
    if part == "setup":
        return setup.section(speed.in_process(sys.executable, "setup"))
    return accuracy.section([accuracy.measure(network) for network in accuracy.NETWORKS])


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluator.run", description=__doc__)
    parser.add_argument("--peers", default=sys.executable, help="interpreter that has nncf and brevitas")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--seconds", type=float, default=20, help="for each cell of the table of speed")
    parser.add_argument("--evaluations", type=int, default=500, help="of the search")
    parser.add_argument("--output", type=Path, default=RESULTS, help="Markdown file; its other parts stay")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    path: Path = options.output
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    kept = {match[1]: match[0] for match in re.finditer(r"(?ms)^<!-- (\w+) -->\n.*?(?=^<!-- |\Z)", old)}
    for part in options.parts:
        load = "/".join(f"{value:.1f}" for value in os.getloadavg())
        text = section(part, options)
        heading, body = text.split("\n", 1)
        kept[part] = f"<!-- {part} -->\n{heading}\n\n{_machine(load)}\n{body.rstrip()}\n\n"
        print(text, flush=True)
        ordered = "".join(kept[name] for name in PARTS if name in kept).rstrip()
        path.write_text(
            "# Speed and behaviour of the evaluator\n\n"
            "`python -m benchmarks.evaluator.run --peers PYTHON`, PYTHON an interpreter that has nncf and "
            f"brevitas.\n\n{ordered}\n",
            encoding="utf-8",
        )


def _machine(load: str) -> str:
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "numpy", "numba"))
    return (
        f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}, nemo_lab {nl.__version__}, "
        f"Python {platform.python_version()}, {versions}; {platform.machine()}, {os.cpu_count()} cores, "
        f"load at the start {load}."
    )


if __name__ == "__main__":
    main()
