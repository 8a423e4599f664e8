"""The problem the search solves: bits in, task error and exact costs out."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nemo_lab._torch import torch_threads
from nemo_lab.cost import CostModel, as_bits
from nemo_lab.cost.model import BitOps
from nemo_lab.errors import ArgumentError, DataError
from nemo_lab.quantize.network import QuantizedNetwork
from nemo_lab.workload.records import Split
from nemo_lab.workload.workload import Workload

BIT_WIDTHS = (2, 3, 4, 5, 6, 7, 8)
METRICS = {"top1": 1, "top5": 5}


class QuantizationProblem:
    """Task error, model ratio, bit-operation ratio (and more) of mixed-precision configurations.

    Args:
        workload: a traced network, see ``load_workload`` and ``Workload.from_module``.
        calibration: float[N, ...] training inputs that give the activation ranges; what came with
            the workload by default.
        data: ``Split`` or (inputs float[N, ...], labels int[N]) on which accuracy is measured;
            the search split that came with the workload by default.
        metric: ``"top1"`` or ``"top5"`` accuracy.
        bit_widths: the widths to choose from, ascending, each 2 to 16.
        bitops: ``"max"`` or ``"product"``, see ``CostModel``.
        cost_model: the costs to minimise, in place of ``bitops``: its tables are further objectives.
        batch_size: examples per forward pass.
        calibration_batch: examples per calibration batch.
        threads: torch threads of a forward pass; one is fastest for small networks.

    Raises:
        DataError: on data that is missing, empty, not finite, or does not fit.
        ArgumentError: on an unknown metric or impossible widths.

    ``evaluate`` may be called from any thread; calls wait for each other.
    """

    def __init__(
        self,
        workload: Workload,
        calibration: Any = None,
        data: Any = None,
        metric: str = "top1",
        bit_widths: Sequence[int] = BIT_WIDTHS,
        bitops: BitOps = "max",
        *,
        cost_model: CostModel | None = None,
        batch_size: int = 128,
        calibration_batch: int = 32,
        threads: int = 1,
    ) -> None:
        if metric not in METRICS:
            raise ArgumentError(f"no metric {metric!r}", f"use one of {', '.join(METRICS)}")
        self.bit_widths = _checked_widths(bit_widths)
        self.workload = workload
        self.metric = metric
        self.threads = threads
        if cost_model is not None and cost_model.workload is not workload:
            raise ArgumentError("the cost model is of another workload", "give CostModel(workload)")
        self.cost_model = CostModel(workload, bitops) if cost_model is None else cost_model
        self.cost_names = self.cost_model.cost_names
        self.objective_names = ("task_error", *self.cost_names)
        if not workload.trained:
            raise DataError(
                f"the weights of {workload.name!r} are random: their accuracy means nothing",
                "load trained weights into workload.module and trace it by Workload.from_module; "
                "CostModel(workload) gives exact costs either way",
            )
        if calibration is None:
            calibration = _shipped(workload, "calibration").inputs
        data = as_split(_shipped(workload, "search") if data is None else data, "data")
        self._k = METRICS[metric]
        self._lock = threading.Lock()
        self._batch_size = batch_size
        self._data = _batches(data, batch_size)
        self._network = QuantizedNetwork(workload)
        images = _finite(calibration, "calibration")
        _check_shapes(workload, calibration=images, data=self._data[0][0])
        with self._lock, torch_threads(threads):
            self._network.calibrate(images.split(calibration_batch))
            classes = self._network(images[:1]).shape[1]
        if not 0 <= data.labels.min() <= data.labels.max() < classes:
            raise DataError(
                f"labels run from {data.labels.min()} to {data.labels.max()}",
                f"the network tells {classes} classes apart: 0 to {classes - 1}",
            )
        self.num_nodes = len(workload.nodes)
        self.node_names = workload.names
        self.node_features = workload.features
        self.edges = workload.edges

    @property
    def objective_bounds(self) -> NDArray[np.float64]:
        """float64[2, K]: what no configuration can be better or worse than."""
        low, high = self.cost_model.bounds(self.bit_widths)
        return np.array([[0.0, *low], [1.0, *high]])

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """Calibrated range of every activation: quantizer name -> (low, high)."""
        return dict(self._network.ranges)

    def costs(self, bits: Any) -> NDArray[np.float64]:
        """Exact costs, in the order of ``cost_names``: integers[N, Q] -> float64[N, K - 1]."""
        return self.cost_model.evaluate(bits)

    def evaluate(self, bits: Any) -> NDArray[np.float64]:
        """All objectives, minimised, by real fake-quantized inference.

        Args:
            bits: integers[N, Q] or [Q] from ``bit_widths``.

        Returns:
            float64[N, K]: task error, model ratio, bit-operation ratio, then the tables' costs.

        Raises:
            BitWidthError: on a wrong shape or a width that is not among ``bit_widths``.
        """
        rows = as_bits(bits, self.num_nodes, self.bit_widths)
        errors = [self._error(self._data, row.tolist()) for row in rows]
        return np.column_stack([errors, self.costs(rows)])

    def error(self, bits: Any, data: Any) -> NDArray[np.float64]:
        """Task error on other data, such as a held-out split: integers[N, Q] -> float64[N]."""
        rows = as_bits(bits, self.num_nodes, self.bit_widths)
        batches = _batches(as_split(data, "data"), self._batch_size)
        return np.array([self._error(batches, row.tolist()) for row in rows])

    def full_precision_error(self, data: Any = None) -> float:
        """Task error of the network without quantization, on the search data or other data."""
        batches = self._data if data is None else _batches(as_split(data, "data"), self._batch_size)
        return self._error(batches, None)

    def _error(self, batches: Sequence[tuple[Tensor, Tensor]], bits: Sequence[int] | None) -> float:
        wrong = total = 0
        with self._lock, torch_threads(self.threads):
            self._network.set_bits(bits)
            for inputs, labels in batches:
                logits = self._network(inputs)
                k = min(self._k, logits.shape[1])
                best = logits.topk(k).indices if k > 1 else logits.argmax(1, keepdim=True)
                wrong += int((best != labels[:, None]).all(1).sum())
                total += len(labels)
        return wrong / total


def as_split(data: Any, what: str) -> Split:
    """A ``Split`` from a split or a pair (inputs, labels) of arrays or tensors."""
    if isinstance(data, Split):
        return data
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise DataError(f"{what} is a {type(data).__name__}", "give a Split or a pair (inputs, labels)")
    inputs, labels = (np.asarray(part) for part in data)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(f"labels have shape {labels.shape} and type {labels.dtype}", "give integers[N]")
    if inputs.ndim < 2:
        raise DataError(f"inputs of {what} have shape {inputs.shape}", "give float[N, ...]")
    return Split(inputs.astype(np.float32), labels.astype(np.int64))


def _check_shapes(workload: Workload, **examples: Tensor) -> None:
    if len(workload.example_shapes) != 1:
        raise DataError(
            f"{workload.name!r} takes {len(workload.example_shapes)} tensors, a problem feeds one",
            "wrap the network in a module that takes one tensor and makes the others of it",
        )
    expected = workload.example_shapes[0][1:]
    for what, inputs in examples.items():
        if inputs.shape[1:] != expected:
            raise DataError(
                f"an example of {what} has shape {tuple(inputs.shape[1:])}",
                f"the network was traced with {expected}",
            )


def _finite(inputs: Any, what: str) -> Tensor:
    array = np.asarray(inputs, dtype=np.float32)
    if array.ndim < 2 or len(array) == 0:
        raise DataError(f"{what} has shape {array.shape}", "give at least one example, [N, ...]")
    if not np.isfinite(array).all():
        bad = int(np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(1))[0])
        raise DataError(f"{what} has NaN or infinity, first in example {bad}", "remove such examples")
    return torch.from_numpy(array)


def _batches(data: Split, size: int) -> list[tuple[Tensor, Tensor]]:
    inputs, labels = _finite(data.inputs, "data"), torch.from_numpy(data.labels)
    return list(zip(inputs.split(size), labels.split(size), strict=True))


def _shipped(workload: Workload, split: str) -> Split:
    if workload.data is None:
        raise DataError(
            f"workload {workload.name!r} came without data",
            "pass calibration= (inputs) and data= (inputs, labels)",
        )
    found: Split = getattr(workload.data, split)
    return found


def _checked_widths(bit_widths: Sequence[int]) -> tuple[int, ...]:
    widths = tuple(int(width) for width in bit_widths)
    whole = all(given == width for given, width in zip(bit_widths, widths, strict=True))
    if (
        not whole
        or not widths
        or list(widths) != sorted(set(widths))
        or not 2 <= widths[0] <= widths[-1] <= 16
    ):
        raise ArgumentError(
            f"bit_widths {tuple(bit_widths)} cannot be used", "give ascending whole numbers, each 2 to 16"
        )
    return widths
