"""What a file of a configuration says of itself, and the network and examples that it is held against."""

from __future__ import annotations

import json
from typing import Any

from nemo_lab._version import __version__
from nemo_lab.errors import DataError
from nemo_lab.export.network import configured
from nemo_lab.quantize import QuantizationProblem
from nemo_lab.quantize.evaluation import Task
from nemo_lab.quantize.fingerprint import digest
from nemo_lab.quantize.network import QuantizedNetwork
from nemo_lab.tuning import TunedNetwork

Exported = QuantizationProblem | TunedNetwork
KEY = "nemo_lab"  # under which a file has it


def record_of(problem: Exported, widths: dict[str, int]) -> dict[str, Any]:
    """What the metadata say of a problem at the width of each node."""
    known = problem.fingerprint()
    return {
        "version": __version__,
        "workload": problem.workload.name,
        "bits": widths,
        "digest": digest([known["workload"], known["settings"], *sorted(widths.items())]),
    }


def read_record(text: str | bytes | None, name: str, writer: str) -> dict[str, Any]:
    """The metadata of a file.

    Args:
        text: as it stands in the file; None if nothing does.
        name: of the file.
        writer: what writes such files.

    Raises:
        DataError: if it is not what ``record_of`` gives.
    """
    try:
        record = json.loads(text or "")
        if isinstance(record["bits"], dict) and isinstance(record["digest"], str):
            return dict(record)
    except (KeyError, ValueError, TypeError):
        pass
    raise DataError(f"{name} does not say which widths it has", f"give a file that {writer} wrote")


def network_of(record: dict[str, Any], name: str, problem: Any) -> QuantizedNetwork:
    """The network of a problem, or a tuned one, at the widths of a file.

    Raises:
        DataError: if the file was written from another problem.
        ArgumentError: if the problem is neither.
    """
    tuned = isinstance(problem, TunedNetwork)
    other = isinstance(problem, QuantizationProblem) and set(record["bits"]) != set(problem.node_names)
    network, widths = (None, {}) if other else configured(problem, None if tuned else record["bits"])
    if network is None or record["digest"] != record_of(problem, widths)["digest"]:
        raise DataError(
            f"{name} was written from another network or other settings than {problem.title}",
            "give what it was written from: a tuned network if it was tuned",
        )
    return network


def unseen(problem: Exported) -> Task:
    """Examples that the search has not seen, or its own where there are no others."""
    shipped = problem.workload.data
    others = problem.held_out if shipped is None or problem.held_out is not None else shipped.held_out
    return problem.task(others)
