"""The results of all cells in one file, a line for each, written as soon as a cell is ready."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any

import nemo_lab as nl
from benchmarks.search.cells import CHECKPOINTS, Cell, checkpoints

PACKAGES = ("torch", "torch-geometric", "pymoo", "optuna", "scipy", "numpy", "numba", "moocore")


class Store:
    """Results by cell.

    Args:
        path: of the JSON file; made at the first result.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = json.loads(path.read_text(encoding="utf-8"))["cells"] if path.exists() else []
        self._results = {_cell(line): line for line in lines}

    def __contains__(self, cell: Cell) -> bool:
        return cell in self._results

    def add(self, result: dict[str, Any]) -> None:
        """Keep a result in place of an earlier one, and write the file."""
        today = f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}"
        self._results[_cell(result)] = result | {"date": today, "machine": machine()}
        lines = ",\n".join(json.dumps(self._results[cell]) for cell in sorted(self._results))
        partial = self.path.with_suffix(".partial")
        partial.write_text(f'{{"cells": [\n{lines}\n]}}\n', encoding="utf-8")
        os.replace(partial, self.path)  # so that a reader, or a kill, never meets half a file

    def results(self, problem: str, method: str, seeds: int) -> list[dict[str, Any]]:
        """Of a method on a problem, by seed, as many as there are; at every one of ``CHECKPOINTS``.

        Where a seed was run with several budgets, a checkpoint is that of the smallest that reaches it, since
        some methods plan for their budget; all else is that of the largest.
        """
        merged: dict[int, dict[str, Any]] = {}
        for cell in sorted(self._results, reverse=True):  # the largest budget first
            if (cell.problem, cell.method) == (problem, method) and cell.seed < seeds:
                one = self._results[cell]
                into = merged.setdefault(cell.seed, one | {"hypervolume": [None] * len(CHECKPOINTS)})
                counts = one.get("at") or _earlier(cell.evaluations)
                found = dict(zip(counts, one["hypervolume"], strict=True))
                earlier = into["hypervolume"]
                into["hypervolume"] = [found.get(c, v) for c, v in zip(CHECKPOINTS, earlier, strict=True)]
        return [merged[seed] for seed in sorted(merged)]


def _earlier(evaluations: int) -> list[int]:
    """Where results were looked at before they said it themselves."""
    return [count for count in checkpoints(evaluations) if count not in (50, 100) or count == evaluations]


def machine() -> str:
    """Versions, architecture and cores of this process."""
    versions = ", ".join(f"{package} {importlib.metadata.version(package)}" for package in PACKAGES)
    return (
        f"nemo_lab {nl.__version__}, Python {platform.python_version()}, {versions}; "
        f"{platform.machine()}, {os.cpu_count()} cores"
    )


def _cell(result: dict[str, Any]) -> Cell:
    return Cell(result["problem"], result["evaluations"], result["method"], result["seed"])
