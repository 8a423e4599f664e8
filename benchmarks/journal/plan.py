"""A digits run of 400 evaluations with interventions in it, that goes on wherever its journal ends.

``python -m benchmarks.journal.plan run.sqlite calls`` runs it; ``calls`` gets a byte for every call of the
evaluator.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import nemo_lab as nl
from nemo_lab.errors import StorageError

EVALUATIONS = 400
STEERS: tuple[tuple[int, Callable[[nl.Study], None]], ...] = (
    (50, lambda s: s.pin({"stem.conv.weight": 8, "blocks.0.depthwise.conv.weight": 4})),
    (90, lambda s: s.reseed("gcn", "front")),
    (130, lambda s: s.share("surrogate", 0.4)),
    (170, lambda s: s.undo()),
    (200, lambda s: s.unpin("stem.conv")),
    (230, lambda s: s.constrain("task_error <= 0.4")),
    (260, lambda s: s.freeze("floor")),
    (260, lambda s: s.reseed("integer", "sensitivity", 0.5)),
    (300, lambda s: s.remove_species("unet")),
    (330, lambda s: s.enqueue(6)),
    (350, lambda s: s.aspire(task_error=0.2, model_ratio=0.15)),
    (370, lambda s: s.undo()),
    (380, lambda s: s.add_species("unet")),
)


def run(path: Path | None, calls: Path | None = None) -> nl.Study:
    """Run to the end, from the start or from where the journal is."""
    problem = nl.QuantizationProblem(nl.load_workload("digits"))
    if calls is not None:
        count(problem, calls)
    try:
        study = nl.create_study(problem) if path is None else nl.load_study(path, problem=problem)
    except StorageError:  # killed before there was a study
        study = nl.create_study(problem, storage=path)
    for evaluations, steer in STEERS[len(study.interventions()) :]:
        if len(study.snapshot.evaluations) < evaluations:
            study.optimize(until=evaluations, progress=False)
        steer(study)
    if len(study.snapshot.evaluations) < EVALUATIONS:
        study.optimize(until=EVALUATIONS, progress=False)
    return study


def count(problem: Any, calls: Path) -> None:
    """Let every call of the evaluator leave a byte in a file, where a killed process leaves it, too."""
    evaluate = problem.evaluate
    handle = os.open(calls, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def counted(bits: Any) -> Any:
        os.write(handle, b"." * len(np.atleast_2d(bits)))
        return evaluate(bits)

    problem.evaluate = counted


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    run(Path(sys.argv[1]), Path(sys.argv[2]))
