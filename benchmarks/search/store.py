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
from benchmarks.search.cells import Cell

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

    def results(self, problem: str, method: str, evaluations: int, seeds: int) -> list[dict[str, Any]]:
        """Of a method on a problem, by seed, as many as there are."""
        cells = (Cell(problem, evaluations, method, seed) for seed in range(seeds))
        return [self._results[cell] for cell in cells if cell in self._results]


def machine() -> str:
    """Versions, architecture and cores of this process."""
    versions = ", ".join(f"{package} {importlib.metadata.version(package)}" for package in PACKAGES)
    return (
        f"nemo_lab {nl.__version__}, Python {platform.python_version()}, {versions}; "
        f"{platform.machine()}, {os.cpu_count()} cores"
    )


def _cell(result: dict[str, Any]) -> Cell:
    return Cell(result["problem"], result["evaluations"], result["method"], result["seed"])
