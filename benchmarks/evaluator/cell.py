"""One cell of the table of speed, in a process of its own; prints a line of JSON.

``python -m benchmarks.evaluator.cell METHOD FILE SECONDS``: called by ``run``, by the peers' interpreter
for the peers.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.evaluator import methods
from benchmarks.evaluator.networks import load
from benchmarks.evaluator.timing import fastest, in_turns


def measure(method: str, path: Path, seconds: float) -> dict[str, Any]:
    """Best and median seconds of the plain forward, the folded one and the method, each at its best."""
    timed = load(path)
    _, make = methods.METHODS[method]
    if method in methods.PEERS and importlib.util.find_spec(method) is None:
        return {"missing": method}
    ways = make(timed)
    chosen, tasks = {}, {}
    for name, found in (("plain", methods.plain(timed)), ("folded", methods.folded(timed)), ("own", ways)):
        chosen[name] = fastest(found, seconds / 4)
        tasks[name] = found[chosen[name]]
    taken = {name: asdict(each) for name, each in in_turns(tasks, seconds).items()}
    versions = {"torch": torch.__version__}
    if method in methods.PEERS:
        versions[method] = importlib.metadata.version(method)
    return {"taken": taken, "chosen": chosen, "versions": versions}


def main() -> None:
    """The command."""
    torch.set_num_threads(1)
    method, path, seconds = sys.argv[1:]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        print("\n" + json.dumps(measure(method, Path(path), float(seconds))))


if __name__ == "__main__":
    main()
