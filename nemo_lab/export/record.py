"""A configuration as a JSON record: text and numbers only; ``load_bits`` reads it back."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from nemo_lab._version import __version__
from nemo_lab.arguments import Domain, File, Instance
from nemo_lab.choices import choices
from nemo_lab.files import write_text
from nemo_lab.search import Problem
from nemo_lab.study import Study
from nemo_lab.study.bit_maps.records import CONFIGURATION, VERSION
from nemo_lab.study.parsing.configs import known_config
from nemo_lab.study.results.frames import NO_SPECIES

STUDY = Instance(Study)
PROBLEM: Domain[Problem] = Instance(Problem, words="a problem, such as study.problem")  # type: ignore[type-abstract]


def to_dict(study: Study, config_id: int) -> dict[str, Any]:
    """Everything needed to rebuild an evaluated configuration, as plain JSON types.

    Every node has its ``name``, ``kind`` and ``bits``. An activation of a ``QuantizationProblem``
    also has its calibrated ``range`` and the integers it becomes: q = clip(round(x / scale) +
    zero_point, quant_min, quant_max), x_hat = (q - zero_point) * scale (docs/method.md, section 2). A
    decision over several quantizers lists the others as ``tied``.

    Args:
        study: where it was evaluated.
        config_id: its number, as in ``study.front().index``.

    Raises:
        UnknownNameError: if there is no evaluation of that number.
    """
    snapshot = STUDY.check("study", study).snapshot
    log = snapshot.evaluations
    config = known_config(config_id, len(log))
    problem = study.problem
    species = int(log.species[config])
    return {
        "format": CONFIGURATION,
        "version": VERSION,
        "nemo_lab": __version__,
        "workload": study.title,
        "problem": settings(problem),
        "seed": study.seed,
        "config": config,
        "species": study.species[species].name if species >= 0 else NO_SPECIES,
        "generation": int(log.generation[config]),
        "objectives": dict(zip(problem.objective_names, log.objectives[config].tolist(), strict=True)),
        "nodes": _nodes(problem, log.bits[config].tolist()),
    }


def save_json(study: Study, config_id: int, path: str | os.PathLike[str]) -> Path:
    """Write the record of a configuration; a file of that name is replaced, or left whole on failure.

    Raises:
        UnknownNameError: if there is no evaluation of that number.
        ArgumentError: if the file cannot be written.
    """
    path = File().check("path", path)
    return write_json(to_dict(study, config_id), path)


def write_json(record: dict[str, Any], path: str | os.PathLike[str]) -> Path:
    """Write a record; see ``write_text``."""
    return write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", path)


def settings(problem: Problem) -> dict[str, Any]:
    """What a problem was told, as far as it says."""
    told: dict[str, Any] = {"bit_widths": [int(width) for width in problem.bit_widths]}
    if problem.allowed is not None:
        told["allowed"] = [
            [int(width) for width in np.asarray(problem.bit_widths)[row]] for row in choices(problem)
        ]
    if problem.metric:
        told["metric"] = str(problem.metric)
    if problem.cost_model is not None:
        told["bitops"] = str(problem.cost_model.bitops)
        if getattr(problem.cost_model, "storage", "weights") != "weights":
            told["storage"] = str(problem.cost_model.storage)
    return told


def _nodes(problem: Problem, bits: list[int]) -> list[dict[str, Any]]:
    workload = problem.workload
    known = {} if workload is None else {node.name: node for node in workload.nodes}
    nodes: list[dict[str, Any]] = []
    for name, width in zip(problem.node_names, bits, strict=True):
        found = known.get(name)
        node: dict[str, Any] = {"name": name, "kind": found and found.kind, "bits": width}
        node |= _integers(problem, name, width)
        if found is not None and len(found.quantizers) > 1:
            node["tied"] = [
                {"name": tied.name, "kind": tied.kind, **_integers(problem, tied.name, width)}
                for tied in found.quantizers[1:]
            ]
        nodes.append(node)
    return nodes


def _integers(problem: Problem, name: str, width: int) -> dict[str, Any]:
    """The calibrated range of an activation and the integers it becomes; nothing for a weight."""
    found = problem.quantizer(name, width)
    if found is None:
        return {}
    bounds, quantizer = found
    highest = 2 ** (width - 1) - 1
    zero_point = int(highest - quantizer.high)
    return {
        "range": list(bounds),
        "scale": quantizer.scale,
        "zero_point": zero_point,
        "quant_min": int(quantizer.low) + zero_point,
        "quant_max": highest,
    }
