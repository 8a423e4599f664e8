"""A whole front as one JSON file, with everything needed to make it again, and back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab._version import __version__
from nemo_lab.arguments import File, Instance, OrNone
from nemo_lab.export.record import PROBLEM, STUDY, settings, write_json
from nemo_lab.search import Problem
from nemo_lab.study import Snapshot, Study
from nemo_lab.study.bit_maps.records import FRONT, VERSION, bits_of_front
from nemo_lab.study.bit_maps.text import json_object, read_text
from nemo_lab.study.provenance import fingerprints, versions
from nemo_lab.study.results.frames import NO_SPECIES

SNAPSHOT = OrNone(Instance(Snapshot))


def front_to_dict(study: Study, snapshot: Snapshot | None = None) -> dict[str, Any]:
    """The front as plain JSON types: bit-widths and objectives of every member, and how it came about.

    That is the seed, the versions, digests of workload, data and settings, every intervention, and the script
    that makes the run again.

    Args:
        study: what is written down; it may be running.
        snapshot: a moment of it, now by default.
    """
    study = STUDY.check("study", study)
    snapshot, problem = SNAPSHOT.check("snapshot", snapshot) or study.snapshot, study.problem
    log = snapshot.evaluations
    best_first = np.lexsort(log.objectives[snapshot.front].T[::-1])
    names = [*(one.name for one in study.species), NO_SPECIES]  # species -1 is the last
    return {
        "format": FRONT,
        "version": VERSION,
        "nemo_lab": __version__,
        "versions": versions(),
        "fingerprint": fingerprints(problem)[0],
        "workload": study.title,
        "problem": settings(problem),
        "seed": study.seed,
        "evaluations": len(log),
        "hypervolume": snapshot.hypervolume,
        "node_names": list(problem.node_names),
        "objective_names": list(problem.objective_names),
        "pins": {  # a width, or [lowest, highest]
            problem.node_names[node]: list(width) if isinstance(width, tuple) else int(width)
            for node, width in snapshot.pins.items()
        },
        "front": [
            {
                "config": int(config),
                "species": names[int(log.species[config])],
                "generation": int(log.generation[config]),
                "objectives": log.objectives[config].tolist(),
                "bits": log.bits[config].tolist(),
            }
            for config in snapshot.front[best_first]
        ],
        "interventions": [
            {"evaluation": one.evaluation, "action": one.action, "detail": one.detail}
            for one in snapshot.interventions
        ],
        "script": study.to_script(),
    }


def save_front(study: Study, path: str | os.PathLike[str]) -> Path:
    """Write ``front_to_dict`` to a file; one of that name is replaced, or left whole on failure.

    Raises:
        ArgumentError: if the file cannot be written.
    """
    path = File().check("path", path)
    return write_json(front_to_dict(study), path)


def load_front(path: str | os.PathLike[str], problem: Problem) -> NDArray[np.uint8]:
    """The configurations of a saved front, uint8[N, Q], in the order of the problem's nodes.

    ``study.enqueue(load_front(path, problem))`` evaluates them in another study, and
    ``create_study(..., start_from=path)`` begins one with them. Nothing else in the file is
    looked at, and the script in it is never run.

    Raises:
        ArgumentError: if the file cannot be read.
        DataError: if it is damaged, no such file, or its nodes are not those of the problem.
        BitWidthError: if it has a width that the problem does not allow.
    """
    path, problem = File().check("path", path), PROBLEM.check("problem", problem)
    return bits_of_front(path, json_object(path, read_text(path)), problem)
