"""Errors of configurations on examples, batch by batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nemo_lab.errors import EvaluationError
from nemo_lab.interruption import check_interrupted
from nemo_lab.quantize.data import Examples
from nemo_lab.quantize.memory import is_out_of_memory
from nemo_lab.quantize.metrics import Metric, check_scores
from nemo_lab.quantize.network import QuantizedNetwork


@dataclass(frozen=True, eq=False)
class Task:
    """Examples as a network wants them, and what is measured on them.

    Attributes:
        metrics: what is measured.
        batches: inputs, labels or None, and outputs in full precision where a metric wants them.
        count: of examples.
    """

    metrics: tuple[Metric, ...]
    batches: tuple[tuple[Tensor, Tensor | None, Any], ...]
    count: int


def make_task(
    network: QuantizedNetwork, examples: Examples, metrics: tuple[Metric, ...], batch_size: int
) -> Task:
    """Bring examples where the network is; leaves it in full precision.

    Raises:
        DataError: if outputs or labels are not what a metric needs.
        Interrupted: between two batches, see ``nemo_lab.check_interrupted``.
    """
    network.set_bits(None)
    check_scores(metrics, examples, network(network.prepare(examples.inputs[:1])))
    compares = any(m.needs_reference for m in metrics)
    batches = []
    for inputs, labels in examples.batches(batch_size):
        check_interrupted()
        prepared = network.prepare(inputs)
        reference = network(prepared) if compares else None
        batches.append((prepared, None if labels is None else labels.to(network.device), reference))
    return Task(metrics, tuple(batches), len(examples))


def mean_errors(
    network: QuantizedNetwork, task: Task, rows: Sequence[Any], *, remember: bool = False
) -> list[tuple[float, ...]]:
    """Mean error of every row by every metric; rows share what they have in common, batch by batch.

    Args:
        network: what runs.
        task: on what.
        rows: configurations; None is full precision.
        remember: begin where an earlier run agrees, and keep what later ones may need; for one task only.

    Raises:
        EvaluationError: if a metric returns no finite number, or memory runs out.
        Interrupted: between two batches, see ``nemo_lab.check_interrupted``.
    """
    sums = np.zeros((len(rows), len(task.metrics)))
    for number, (inputs, labels, reference) in enumerate(task.batches if rows else ()):
        for i, row in enumerate(rows):
            check_interrupted()
            if number == 0 or len(rows) > 1:
                network.set_bits(row)
            try:
                outputs = network.run(number, inputs) if remember else network(inputs)
                with torch.no_grad():  # a metric may have parameters
                    sums[i] += [m.sum(outputs, labels, reference, len(inputs)) for m in task.metrics]
            except KeyboardInterrupt:
                network.kept.clear()  # it comes anywhere, in the middle of keeping something, too
                raise
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                network.kept.clear()
                raise EvaluationError(
                    f"out of memory in a batch of {len(inputs)} examples",
                    "make the problem again with a smaller batch_size, fewer images, or kept_mb=0",
                ) from error
    return [tuple(row) for row in (sums / task.count).tolist()]
