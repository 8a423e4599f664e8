"""Errors of configurations on examples, batch by batch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from nemo_lab.errors import EvaluationError
from nemo_lab.interruption import check_interrupted
from nemo_lab.quantize.data import Examples
from nemo_lab.quantize.joined import joined
from nemo_lab.quantize.memory import check_room, is_out_of_memory
from nemo_lab.quantize.metrics import Metric
from nemo_lab.quantize.network import QuantizedNetwork
from nemo_lab.quantize.scores import check_scores, places, scores


@dataclass(frozen=True, eq=False)
class Task:
    """Examples as a network wants them, and what is measured on them.

    Attributes:
        metrics: what is measured.
        batches: inputs, labels or None, and outputs in full precision where a metric wants them.
        count: of examples.
        counts: what the mean of each metric is over, of examples or of their places.
        worst: what the mean of each metric is cut at: that of a guess, or infinity.
        of_set: whether each metric gives one number for all examples.
        full: error of each metric in full precision, where it became known by the way; else NaN.
    """

    metrics: tuple[Metric, ...]
    batches: tuple[tuple[tuple[Tensor, ...], Tensor | None, Any], ...]
    count: int
    counts: tuple[int, ...]
    worst: tuple[float, ...]
    of_set: tuple[bool, ...]
    full: tuple[float, ...]


def make_task(
    network: QuantizedNetwork, examples: Examples, metrics: tuple[Metric, ...], batch_size: int
) -> Task:
    """Bring examples where the network is; leaves it in full precision.

    Raises:
        DataError: if outputs or labels are not what a metric needs.
        Interrupted: between two batches, see ``nemo_lab.check_interrupted``.
    """
    network.set_bits(None)
    compares = any(m.needs_reference for m in metrics)
    batches: list[tuple[tuple[Tensor, ...], Tensor | None, Any]] = []
    for batch in examples.batches(batch_size):
        check_interrupted()
        prepared = network.prepare(batch.inputs)
        outputs = network(prepared, len(batches)) if compares or not batches else None
        labels = None if batch.labels is None else batch.labels.to(network.device)
        if not batches:
            check_outputs(outputs, examples.labels, metrics, len(batch))
            with _measuring(network, len(batch)):
                tried = [one.tried(outputs, labels) for one in metrics]
            of_set = tuple(found is not None and found.ndim == 0 for found in tried)
            whole = len(batch) == len(examples)
            full = tuple(math.nan if found is None or not whole else float(found.mean()) for found in tried)
            guess = [math.log(scores(outputs).shape[-1]) if one.by_place else math.inf for one in metrics]
            if any(of_set):
                check_room(len(examples), len(batch), outputs)
        batches.append((prepared, labels, outputs if compares else None))
    counts = tuple(_places(examples) if one.by_place else len(examples) for one in metrics)
    return Task(metrics, tuple(batches), len(examples), counts, tuple(guess), of_set, full)


def check_outputs(outputs: Any, labels: Tensor | None, metrics: Sequence[Metric], count: int) -> None:
    """Hold outputs for ``count`` examples, and the labels of all, against what metrics of ours need.

    Raises:
        DataError: if they are not that.
    """
    name = next((m.name for m in metrics if m.classes), None)
    if name is not None:
        check_scores(name, outputs, labels, count, labelled=any(m.needs_labels for m in metrics))


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
    if any(task.of_set) and len(rows) > 1:  # what is kept are the outputs of one configuration
        return [mean_errors(network, task, [row], remember=remember)[0] for row in rows]
    sums, kept = np.zeros((len(rows), len(task.metrics))), list[Any]()
    for number, (inputs, labels, reference) in enumerate(task.batches if rows else ()):
        count = len(inputs[0])
        for i, row in enumerate(rows):
            check_interrupted()
            if number == 0 or len(rows) > 1:
                network.set_bits(row)
            with _measuring(network, count):
                outputs = network.run(number, inputs) if remember else network(inputs, number)
                for k, metric in enumerate(task.metrics):
                    if not task.of_set[k]:
                        sums[i, k] += metric.sum(outputs, labels, reference, count)
                if any(task.of_set):
                    kept.append(_on_cpu(outputs))
    if kept:
        with _measuring(network, task.count):
            outputs, labels = joined(kept), _labels(task)
            compares = any(m.needs_reference for m in task.metrics)
            whole = joined([_on_cpu(reference) for _, _, reference in task.batches]) if compares else None
            for k, metric in enumerate(task.metrics):
                if task.of_set[k]:
                    sums[0, k] = metric.sum(outputs, labels, whole, task.count)
    means = np.minimum(sums / np.array(task.counts), task.worst)
    return [tuple(row) for row in means.tolist()]


@contextmanager
def _measuring(network: QuantizedNetwork, count: int) -> Iterator[None]:
    """Without gradients, as a metric may have parameters; what a network keeps is sound afterwards."""
    try:
        with torch.no_grad():
            yield
    except KeyboardInterrupt:
        network.kept.clear()  # it comes anywhere, in the middle of keeping something, too
        raise
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        network.kept.clear()
        raise EvaluationError(
            f"out of memory in a batch of {count} examples",
            "make the problem again with a smaller batch_size, fewer images, or kept_mb=0",
        ) from error


def _places(examples: Examples) -> int:
    return len(examples) if examples.labels is None else places(examples.labels)


def _on_cpu(outputs: Any) -> Any:
    return pytree.tree_map_only(Tensor, torch.Tensor.cpu, outputs)


def _labels(task: Task) -> Tensor | None:
    """Of all examples."""
    found = [labels.cpu() for _, labels, _ in task.batches if labels is not None]
    return torch.cat(found) if found else None
