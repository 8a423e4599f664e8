"""The same seed gives the same table, release after release, until a preset or the engine is another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import nemo_lab as nl
from tests.golden.digests import digest

GOLDEN: dict[str, str] = json.loads((Path(__file__).parent / "runs.json").read_text())


@pytest.mark.parametrize("run", sorted(GOLDEN))
def test_three_hundred_evaluations_stand_still(run: str) -> None:
    workload, preset = run.split()
    study = nl.create_study(workload, seed=0, preset=preset).optimize(300, progress=False)
    assert digest(study, history=True) == GOLDEN[run], (
        "the table changed: restore it, or say why, and raise ENGINE_VERSION if stored runs go on otherwise"
    )
