"""The table of speed: a process for every cell."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.evaluator import networks
from benchmarks.evaluator.methods import METHODS, PEERS

ROOT = Path(__file__).parents[2]
GOAL = 1.15
Cells = dict[tuple[str, str], dict[str, Any]]


def in_process(python: str, module: str, *arguments: str) -> dict[str, Any]:
    """What a module of this folder prints as JSON on its last line.

    Raises:
        RuntimeError: if it fails, with the end of what it said.
    """
    command = [python, "-W", "ignore", "-m", f"benchmarks.evaluator.{module}", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def measure(names: Sequence[str], peers: str, seconds: float, folder: Path) -> Cells:
    """Every method on every network."""
    cells: Cells = {}
    for name in names:
        path = folder / f"{name}.pt"
        networks.save(networks.build(name), path)
        for method in METHODS:
            python = peers if method in PEERS else sys.executable
            try:
                cell = in_process(python, "cell", method, str(path), str(seconds))
            except RuntimeError as error:
                if method not in PEERS:
                    raise
                cell = {"failed": str(error)}
            cells[method, name] = cell
            shown = cell.get("failed") or (_ratio(cell, "plain") if "taken" in cell else "not installed")
            print(f"{name} {method}: {shown}", flush=True)
    return cells


def section(cells: Cells, names: Sequence[str]) -> str:
    """The section of the page."""
    lines = [
        "## A lone candidate",
        "",
        "All images once, over the plain FP32 forward of the same network (nothing folded, contiguous, "
        "`torch.inference_mode`) in the same process, one thread, best of several, taken in turns; in "
        "brackets the ratio of the medians. Plain forward and method each run at the batch size, and the "
        "methods other than nemo_lab in the layout or mode of theirs, that is fastest for them. Every cell "
        "is a process of its own. Networks of torchvision have random weights and see noise. nemo_lab's "
        "row is `problem.evaluate` of random widths, new ones each time, with `kept_mb=0`: metric and costs "
        "included, and rounding of the weights where their cache lacks a width. *Weights at hand* "
        "is the same configuration again, its result forgotten; it and all rows below round at 8 bits.",
        "",
        *_table(cells, names, "plain"),
        "",
        "The same over the **folded** FP32 network in channels last: a harder comparison, because that is "
        "what is left when rounding costs nothing. A ratio below 1 above is due to this.",
        "",
        *_table(cells, names, "folded"),
        "",
        "Fastest batch sizes, examples per forward (layouts and modes where there is a choice): "
        + "; ".join(
            f"{METHODS[method][0]} on {name}: {cell['chosen']['own']} (plain: {cell['chosen']['plain']})"
            for (method, name), cell in cells.items()
            if "chosen" in cell
        )
        + ".",
        "",
        "Versions: " + ", ".join(_versions(cells)) + ".",
        "",
    ]
    ratios = {name: cells["ours", name]["taken"] for name in names}
    worst = max(taken["own"]["best"] / taken["plain"]["best"] for taken in ratios.values())
    met = "met" if worst <= GOAL else "not met"
    lines.append(f"Goal: at most {GOAL} plain forwards. Measured at most {worst:.2f}: **{met}**.")
    return "\n".join(lines) + "\n"


def _table(cells: Cells, names: Sequence[str], base: str) -> list[str]:
    lines = [
        "| | " + " | ".join(networks.TITLES[name] for name in names) + " |",
        "|---" * (len(names) + 1) + "|",
    ]
    for method, (title, _) in METHODS.items():
        row = []
        for name in names:
            cell = cells[method, name]
            row.append(
                _ratio(cell, base) if "taken" in cell else "failed" if "failed" in cell else "not installed"
            )
        lines.append(f"| {title} | " + " | ".join(row) + " |")
    return lines


def _ratio(cell: dict[str, Any], base: str) -> str:
    own, other = cell["taken"]["own"], cell["taken"][base]
    return f"{own['best'] / other['best']:.2f} ({own['median'] / other['median']:.2f})"


def _versions(cells: Cells) -> list[str]:
    found = {}
    for (method, _), cell in cells.items():
        if "versions" in cell:
            version = cell["versions"]
            others = [f"{name} {value}" for name, value in version.items() if name != "torch"]
            torch = version["torch"].partition("+")[0]
            found[method] = f"{others[0]} (with torch {torch})" if others else f"torch {torch}"
    return list(dict.fromkeys(found.values()))
