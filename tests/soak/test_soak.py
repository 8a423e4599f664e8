"""Three minutes of what ``python -m benchmarks.journal.soak --minutes 60`` does for an hour.

It mostly waits, for evaluations and for moments to kill at, so ``make test`` runs it beside the other tests.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
MINUTES, SEED = 3, 0


def test_runs_that_are_steered_and_killed_lose_nothing_and_can_be_made_again() -> None:
    command = [sys.executable, "-m", "benchmarks.journal.soak", f"--minutes={MINUTES}", f"--seed={SEED}"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=3 * PATIENCE
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = dict(re.findall(r"^\| \**([\w ]+?)\** \| \**([\d.]+)", done.stdout, re.MULTILINE))
    assert int(found["lost"]) == int(found["runs with anything wrong"]) == 0
    assert int(found["kills"]) > 2
    assert int(found["made again in every way"]) > 2
    assert int(found["evaluations"]) > 100
