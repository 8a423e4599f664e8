"""A configuration as a JSON record, and back: text and numbers only, checked when read."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab._version import __version__
from nemo_lab.arguments import Domain, File, Instance
from nemo_lab.choices import check_choices, choices
from nemo_lab.cost import as_bits
from nemo_lab.errors import ArgumentError, DataError, NemoWarning, UnknownNameError
from nemo_lab.search import Problem, adapt_problem
from nemo_lab.study import Study
from nemo_lab.study.parsing.configs import known_config
from nemo_lab.study.results.frames import NO_SPECIES

FORMAT = "nemo_lab configuration"
VERSION = 1
STUDY = Instance(Study)
PROBLEM: Domain[Problem] = Instance(Problem, words="a problem, such as study.problem")  # type: ignore[type-abstract]
MAX_BYTES = 16 * 2**20  # a record of a thousand nodes has a quarter of a megabyte


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
        "format": FORMAT,
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


def write_text(text: str, path: str | os.PathLike[str]) -> Path:
    """Write a text; a file of that name is replaced, or left whole on failure.

    Raises:
        ArgumentError: if the file cannot be written.
    """
    target = Path(path)
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".nemo_lab-", suffix=".tmp")
        try:
            with open(handle, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(name, 0o644)
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise ArgumentError(
            f"cannot write {str(target)!r}: {error.strerror}", "give a file in a folder that exists"
        ) from error
    return target


def load_bits(path: str | os.PathLike[str], problem: Problem) -> NDArray[np.uint8]:
    """The bit-widths in a record, uint8[Q], in the order of the problem's nodes.

    Raises:
        ArgumentError: if the file cannot be read.
        DataError: if it is damaged, no such record, or its nodes are not those of the problem.
        UnknownNameError: if it names a node that the problem does not have.
        BitWidthError: if it has a width that the problem does not allow.

    Warns:
        NemoWarning: if the nodes fit but the workload has another name.
    """
    path, problem = File().check("path", path), PROBLEM.check("problem", problem)
    record = parsed(path, FORMAT, VERSION)
    found = _widths(record)
    known = tuple(problem.node_names)
    for name in found:
        if name not in known:
            raise UnknownNameError("node", name, known)
    missing = [name for name in known if name not in found]
    if missing:
        raise DataError(
            f"the record has no width for {missing[0]!r} ({len(missing)} of {len(known)} nodes are missing)",
            "load it with the problem it was saved from",
        )
    rows = as_bits([[found[name] for name in known]], len(known), tuple(problem.bit_widths))
    check_choices(rows, problem)
    bits: NDArray[np.uint8] = rows[0]
    workload = adapt_problem(problem).workload
    own = record.get("workload") if workload is None else workload.name
    if record.get("workload") != own:
        warnings.warn(
            f"the record is of workload {record.get('workload')!r}, the problem of {own!r}: the nodes have "
            "the same names, but objectives and ranges may differ",
            NemoWarning,
            stacklevel=2,
        )
    return bits


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


def parsed(path: str | os.PathLike[str], form: str, version: int) -> dict[str, Any]:
    """A JSON object of a format and version of ours; see ``load_bits`` for what is raised."""
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ArgumentError(
            f"cannot read {os.fspath(path)!r}: {reason}", "give a file written by save_json"
        ) from error
    if len(raw) > MAX_BYTES:
        raise _damaged(f"{os.fspath(path)!r} is larger than {MAX_BYTES // 2**20} MB")
    try:
        record = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _damaged(f"{os.fspath(path)!r} is not readable as JSON: {error}") from error
    if not isinstance(record, dict) or record.get("format") != form:
        raise _damaged(f"{os.fspath(path)!r} is no {form}")
    if record.get("version") != version:
        raise DataError(
            f"the record has version {record.get('version')!r}, this nemo_lab reads {version}",
            "read it with the nemo_lab that wrote it",
        )
    return record


def _widths(record: dict[str, Any]) -> dict[str, int]:
    """Node name -> width as the record says, types and repetitions checked."""
    nodes = record.get("nodes")
    if not isinstance(nodes, list) or not nodes:
        raise _damaged("the record has no list of nodes")
    widths: dict[str, int] = {}
    for place, node in enumerate(nodes):
        if not isinstance(node, dict) or not isinstance(node.get("name"), str):
            raise _damaged(f"node {place} of the record has no name")
        name, width = node["name"], node.get("bits")
        if isinstance(width, bool) or not isinstance(width, int) or not 1 <= width <= 32:
            raise _damaged(f"node {name!r} of the record has bits {width!r:.40}")
        if name in widths:
            raise _damaged(f"the record names node {name!r} twice")
        widths[name] = width
    return widths


def _damaged(what: str) -> DataError:
    return DataError(what, "give a file written by save_json, unchanged")
