"""Digests of a run, to be the same release after release."""

from __future__ import annotations

import hashlib

import numpy as np

import nemo_lab as nl


def digest(study: nl.Study, *, history: bool = False) -> str:
    """Of every evaluation and the front, and of the history of the species if wanted."""
    snapshot = study.snapshot
    log = snapshot.evaluations
    found = hashlib.sha256()
    for column in (log.bits, log.objectives, log.species, log.origin, log.generation):
        found.update(np.ascontiguousarray(column).tobytes())
    found.update(np.sort(snapshot.front).astype(np.int64).tobytes())
    if history:
        rows = [
            (
                one.generation,
                one.evaluations,
                one.hypervolume,
                [tuple(vars(species).values()) for species in one.species],
            )
            for one in snapshot.history
        ]
        found.update(repr(rows).encode())
    return found.hexdigest()
