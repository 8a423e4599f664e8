"""``python -m benchmarks.journal.soak --minutes 60`` steers, kills and spoils runs, and makes each again.

Ends with 0 only if nothing was lost and nothing was wrong; the folder of a run that was, is kept and named.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before anything loads torch
os.environ["PYTHONWARNINGS"] = "ignore"  # of the processes that are started

from benchmarks.journal.soak.chain import Chain, Run
from benchmarks.journal.soak.disk import own_disk
from benchmarks.journal.soak.faults import LOSSES, OUTAGES
from benchmarks.journal.soak.report import line, page, table

PAGE = Path(__file__).parents[1] / "SOAK.md"


def main() -> int:
    """Make runs until the time is over; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--minutes", type=float, default=3.0, help="after which no process is started any more"
    )
    parser.add_argument("--seed", type=int, default=0, help="of all that is left to chance")
    parser.add_argument("--only", type=int, help="the number of one run, to repeat it")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    options = parser.parse_args()
    print(f"soak of {options.minutes:g} minutes, seed {options.seed}", flush=True)
    folder, until = Path(tempfile.mkdtemp(prefix="soak-")), time.monotonic() + 60 * options.minutes
    runs: list[Run] = []
    for number in count() if options.only is None else (options.only,):
        if time.monotonic() > until:
            break
        place = folder / f"run-{number}"
        place.mkdir()
        with own_disk(place / "disk") as mounted:
            outages = [kind for kind in OUTAGES if mounted or kind != "full disk"]
            run = Chain(number, options.seed, place / "disk", place, (*outages, *LOSSES), until).make()
            if run.wrong:
                shutil.copytree(place / "disk", place / "kept")
        print(line(run), flush=True)
        for what in run.wrong:
            print(f"    {what}\n    kept in {place}", flush=True)
        if not run.wrong:
            shutil.rmtree(place)
        runs.append(run)
    wrong = any(run.wrong for run in runs)
    if not wrong:
        shutil.rmtree(folder)
    print(f"\n{table(runs)}", flush=True)
    if options.write:
        PAGE.write_text(page(runs, options.minutes, options.seed), encoding="utf-8")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
