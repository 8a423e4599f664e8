"""The same seed gives the same table, release after release, until the engine's version says otherwise."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import nemo_lab as nl

GOLDEN: dict[str, str] = json.loads((Path(__file__).parent / "runs.json").read_text())


def digest(study: nl.Study) -> str:
    """Of every evaluation, the front, and the history of the species."""
    snapshot = study.snapshot
    log = snapshot.evaluations
    found = hashlib.sha256()
    for column in (log.bits, log.objectives, log.species, log.origin, log.generation):
        found.update(np.ascontiguousarray(column).tobytes())
    found.update(np.sort(snapshot.front).astype(np.int64).tobytes())
    history = [
        (
            one.generation,
            one.evaluations,
            one.hypervolume,
            [tuple(vars(species).values()) for species in one.species],
        )
        for one in snapshot.history
    ]
    found.update(repr(history).encode())
    return found.hexdigest()


@pytest.mark.parametrize("run", sorted(GOLDEN))
def test_three_hundred_evaluations_stand_still(run: str) -> None:
    workload, preset = run.split()
    study = nl.create_study(workload, seed=0, preset=preset).optimize(300, progress=False)
    assert digest(study) == GOLDEN[run], "the table changed: restore it, or raise ENGINE_VERSION and say why"
