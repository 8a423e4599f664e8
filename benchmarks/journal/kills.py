"""Kill a run at random instants, take it up again, and compare with one that was left alone.

``python -m benchmarks.journal.kills`` writes KILLS.md; ``--kills 5`` is a quick look.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

import nemo_lab as nl
from benchmarks.journal import plan
from nemo_lab.errors import NemoError

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Kill:
    """One run that was killed, once, and taken up again."""

    evaluations: int
    steers: int
    repeated: int
    identical: bool


def table(path: Path) -> pd.DataFrame:
    """Everything that was evaluated, and how the front came to be."""
    study = nl.load_study(path, read_only=True)
    found = study.evaluations(bits=True)
    found["on front"] = found.index.isin(study.front().index)
    study.close()
    return found


def killed(number: int, expected: pd.DataFrame, folder: Path) -> Kill:
    """Start a run, kill it at a random instant, let it end, and compare."""
    rng = random.Random(number)
    begun, seconds = rng.randrange(1, len(expected)), rng.uniform(0.0, 0.03)
    path, calls = folder / f"{number}.sqlite", folder / f"{number}.calls"
    command = [sys.executable, "-m", "benchmarks.journal.plan", str(path), str(calls)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (calls.exists() and os.path.getsize(calls) >= begun):
        time.sleep(0.001)
    time.sleep(seconds)
    process.kill()
    process.wait()
    try:
        study = nl.load_study(path, read_only=True)
        evaluations, steers = len(study.snapshot.evaluations), len(study.interventions())
        study.close()
    except NemoError:
        evaluations = steers = 0
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    repeated = os.path.getsize(calls) - len(expected)
    return Kill(evaluations, steers, repeated, table(path).equals(expected))


def main() -> int:
    """Run all, and write the table; the number of runs that differed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        calls = folder / "calls"
        command = [sys.executable, "-m", "benchmarks.journal.plan", str(folder / "whole.sqlite"), str(calls)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        expected = table(folder / "whole.sqlite")
        with ThreadPoolExecutor(options.processes) as pool:
            kills = list(pool.map(lambda number: killed(number, expected, folder), range(options.kills)))
    kills.sort(key=lambda one: one.evaluations)
    same = sum(one.identical for one in kills)
    lines = [
        "# Killed and taken up again",
        "",
        f"`python -m benchmarks.journal.kills --kills {options.kills}`: a digits run of {plan.EVALUATIONS} "
        f"evaluations with {len(plan.STEERS)} interventions, killed by SIGKILL within 30 ms of a random "
        "evaluation's beginning, then taken up by `load_study` and run to the end.",
        "",
        f"**{same} of {len(kills)} final tables are bit-identical to that of the uninterrupted run** (bits, "
        "objectives, species, generation, origin and front of every evaluation); at most "
        f"{max(one.repeated for one in kills)} evaluation was made twice.",
        "",
        "| evaluations stored | interventions stored | evaluations repeated | table identical |",
        "| --- | --- | --- | --- |",
        *(
            f"| {one.evaluations} | {one.steers} | {one.repeated} | {'yes' if one.identical else '**no**'} |"
            for one in kills
        ),
    ]
    (HERE / "KILLS.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    return len(kills) - same


if __name__ == "__main__":
    sys.exit(main())
