"""The problem the search solves: bits in, task errors and exact costs out."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nemo_lab._torch import torch_threads
from nemo_lab.arguments import COUNT, Flag
from nemo_lab.choices import check_choices, ends
from nemo_lab.cost import CostModel, as_bits
from nemo_lab.cost.model import BitOps, Storage
from nemo_lab.cost.objectives import cost_objectives
from nemo_lab.errors import DataError
from nemo_lab.exclusion import computing
from nemo_lab.interruption import held
from nemo_lab.objective import Objective
from nemo_lab.quantize import arguments
from nemo_lab.quantize.affine import Affine
from nemo_lab.quantize.config import QuantizationConfig, changed, configured
from nemo_lab.quantize.data_sets import data_sets, measured_on
from nemo_lab.quantize.evaluation import Task, make_task, mean_errors
from nemo_lab.quantize.fingerprint import fingerprint, former, of_metrics, settings_digests, workload_digests
from nemo_lab.quantize.memory import check_memory, weight_bytes
from nemo_lab.quantize.metrics import Metric, as_metrics, bounded, one_metric
from nemo_lab.quantize.network import QuantizedNetwork
from nemo_lab.quantize.node_tables import NodeTables
from nemo_lab.quantize.sanity import warn_if_far
from nemo_lab.quantize.verification import check_same
from nemo_lab.workload.workload import Workload

BIT_WIDTHS = (2, 3, 4, 5, 6, 7, 8)


class QuantizationProblem(NodeTables):
    """Task error, model ratio, bit-operation ratio (and more) of mixed-precision configurations.

    Args:
        workload: a traced network, see ``load_workload`` and ``Workload.from_module``.
        calibration: inputs that give the activation ranges: float[N, ...], or a loader of batches; what
            came with the workload by default. Labels, if there are any, are not looked at.
        data: examples on which the task error is measured: ``Split``, pair (inputs, labels), or a loader of
            such pairs; inputs alone for metrics without labels. What came with the workload by default.
            Where the network takes several tensors, inputs are a dictionary by the names of forward's
            parameters, or a tuple in their order; what else forward takes is as in the workload's example.
        metric: ``"top1"``, ``"top5"``, ``"perplexity"`` (of all labels together, at most that of a guess, the
            number of classes; minimised and stored as its logarithm, in nats); without labels ``"agreement"``
            (share of predictions that differ from full precision) or ``"kl"`` (divergence from the outputs in
            full precision, in units of ln(classes), at most 1); a function (outputs, labels) -> error, one
            number for each example, or one for all of them at once, which may take ``reference``, the outputs
            in full precision, as a third argument; or several, each an objective. By default what the
            workload's data came with, else ``"top1"``. Scores are float[N, C], or float[N, T, C] for
            sequences, whose places count alike unless labelled -100. A function's ``bounds`` says what
            its errors lie between; without it, from 0 to 1, or as far as two configurations reach that are
            evaluated at once: all nodes at the lowest, and all at the highest width.
        bit_widths: the widths to choose from, ascending, each 2 to 16; or those of nodes by name, glob, kind
            and so on, of which the last counts: ``{"weight": (2, 4, 8), "activation": (8, 16)}``.
        bitops, storage: ``"max"`` or ``"product"``, ``"weights"`` or ``"payload"``, see ``CostModel``.
        cost_model: the costs to minimise, in place of these: its tables are further objectives.
        config: how ranges are found and what the quantizers are.
        batch_size: examples per forward pass; chosen by the size of the activations by default.
        calibration_batch: examples per calibration batch; fewer than half of it that are left over join the
            last, which they would outweigh alone.
        threads: torch threads of a forward pass; by default one for small networks, else all cores.
        device: where the network runs; the GPU if torch sees one.
        kept_mb: cap on activations kept for configurations that begin alike, in MB.
        held_out: examples as ``data`` takes them, which the search never sees: ``Study.validate`` measures on
            them. What came with the workload by default.
        **settings: fields of ``QuantizationConfig`` in place of ``config``, such as ``per_channel=True``.

    Attributes:
        calibration: the batches of inputs that the ranges come from.
        example_count, calibration_count: how many examples the error and the ranges come from.
        memory_bytes: that it takes at most.

    Raises:
        DataError: on data that is missing, empty, not finite, or does not fit.
        TraceError: if the network, traced, folded and equalized, no longer gives what the module gives.
        UnknownNameError: on a keyword that there is not.
        ArgumentError: on any other argument that cannot be used, or too little memory.

    Warns:
        NemoWarning: if it will take more than 1 GB of memory, with the estimate; if an example is in both
            ``held_out`` and ``data``; if the highest width, of 8 bits or more, is far from full precision
            everywhere, where that becomes known without a further evaluation.

    ``evaluate`` may be called from any thread; calls wait for each other, and what was evaluated before costs
    nothing. A run that is stopped leaves it between two batches. It can be pickled, calibrated as it is.
    """

    workload: Workload
    cost_model: CostModel
    one_at_a_time = True

    def __init__(
        self,
        workload: Workload,
        calibration: Any = None,
        data: Any = None,
        metric: Any = None,
        bit_widths: Sequence[int] | Mapping[str, int | Sequence[int]] = BIT_WIDTHS,
        bitops: BitOps = "max",
        *,
        config: QuantizationConfig | None = None,
        storage: Storage = "weights",
        cost_model: CostModel | None = None,
        batch_size: int | None = None,
        calibration_batch: int = 32,
        threads: int | None = None,
        device: torch.device | str | None = None,
        kept_mb: float = 128,
        held_out: Any = None,
        **settings: Any,
    ) -> None:
        self.workload = arguments.checked_workload(workload)
        self.config = configured(config, settings, inspect.signature(type(self)).parameters)
        self.metrics = as_metrics(arguments.metric_of(workload, metric))
        self.metric = ", ".join(m.name for m in self.metrics)
        self.bit_widths, self.allowed = arguments.widths_of(workload, bit_widths)
        self.batch_size = arguments.batch_size_of(workload, batch_size)
        self.threads = arguments.threads_of(workload, threads)
        self.cost_model = arguments.cost_model_of(workload, bitops, storage, cost_model, self.config)
        self.cost_names = self.cost_model.cost_names
        self.objective_names = arguments.objective_names(self.metrics, self.cost_names)
        self.num_nodes, self.node_names = len(workload.nodes), workload.names
        self.node_features, self.edges = workload.features, workload.edges
        self._lock = threading.Lock()
        self._found: dict[bytes, tuple[float, ...]] = {}

        together = COUNT.check("calibration_batch", calibration_batch)
        kept = int(1e6 * arguments.MEGABYTES.check("kept_mb", kept_mb))
        place = arguments.Device().check("device", device)
        sets = data_sets(workload, self.metrics, calibration, together, data, held_out)
        self.held_out, self._calibrated_by = sets.held_out, sets.calibrated_by
        self.calibration_count, self.example_count, _ = sets.counts
        self.calibration, self._workloads = sets.calibration, workload_digests(workload)
        weights, largest = weight_bytes(workload, len(self.bit_widths)), sets.largest_batch(self.batch_size)
        self.memory_bytes = check_memory(workload, sum(sets.counts), largest, kept, weights)
        self._network = QuantizedNetwork(workload, self.config, device=place, kept=kept, weights=weights)
        with self._running() as network:
            self._calibrate(network)
            self._task = make_task(network, sets.searched, self.metrics, self.batch_size)
            sets.check_held_out(network, self.metrics)
        model, reached = self.cost_model, self.cost_model.bounds(self.bit_widths, self.allowed)
        costs = cost_objectives(model.cost_names, model.full_precision, reached)
        self.objectives = (*bounded(self.metrics, self._task.worst, self._uniform), *costs)
        if self._found:  # the ends were evaluated, and cost nothing now
            measured = [metric.objective for metric in self.metrics]
            warn_if_far(measured, self._task.full, self._uniform().tolist(), self.bit_widths[-1])

    def _calibrate(self, network: QuantizedNetwork) -> None:
        check_same(network, self.calibration[0].inputs)
        network.calibrate([batch.inputs for batch in self.calibration])

    def _uniform(self) -> NDArray[np.float64]:
        """Errors float64[2, metrics] with every node at its lowest, and at its highest width."""
        return self.evaluate(ends(self))[:, : len(self.metrics)]

    def fingerprint(self) -> dict[str, str]:
        """Digests of what results depend on: ``workload``, ``data``, ``settings``, ``code`` of metrics."""
        batches = [(*inputs, labels) for inputs, labels, _ in self._task.batches]
        data = [self._calibrated_by, *(tensor for batch in batches for tensor in batch if tensor is not None)]
        return fingerprint(self._workloads[0], data, self._settings[0], self._functions)

    def former_fingerprints(self, now: Mapping[str, str]) -> tuple[dict[str, str], ...]:
        """The same as earlier versions wrote it, so that what they stored is known again."""
        averaged = any(self._task.of_set) and len(self._task.batches) > 1  # by those versions
        return () if averaged else former(now, self._workloads, self._settings, self._functions)

    @property
    def _functions(self) -> list[str]:
        """What tells metrics of one's own from others of the same names."""
        return of_metrics(self.metrics, self._task.of_set, len(self._task.batches))

    @property
    def _settings(self) -> tuple[str, ...]:
        """Digests of the settings, as this version writes them, then as earlier ones did."""
        costs = self.costs(np.tile([[width] for width in self.bit_widths], self.num_nodes))
        measured, place = (self.metric, self.bit_widths), str(self._network.device)
        free = () if self.allowed is None else (self.allowed,)
        run = (self.batch_size, self.threads, place, self.objective_names, costs, *free)
        return settings_digests(measured, self.config, run)

    @contextmanager
    def _running(self) -> Iterator[QuantizedNetwork]:
        """The network, for one caller at a time."""
        with computing(), held(self._lock), torch_threads(self.threads):
            yield self._network

    def _other_task(self, data: Any, metrics: tuple[Metric, ...]) -> Task:
        with self._running() as network:
            return make_task(network, measured_on(self.workload, metrics, data), metrics, self.batch_size)

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """Calibrated range of every activation, at no width in particular: name -> (low, high); equalized."""
        return {name: found.overall for name, found in self._network.ranges.items()}

    def quantizer(self, name: str, bits: int) -> tuple[tuple[float, float], Affine] | None:
        """Range and quantizer of an activation at a width; None for a weight, which has its own numbers.

        Raises:
            UnknownNameError: if nothing is called so; the nearest name is proposed.
            ArgumentError: on a width that is not 2 to 16.
        """
        bits = arguments.WIDTH.check("bits", bits)
        found = self._network.ranges.get(self.workload.find_quantizer(name).name)
        return None if found is None else (found.at(bits), found.quantizer(bits))

    def network(self) -> QuantizedNetwork:
        """A quantized network of one's own, calibrated as this; DataError if it was trained since."""
        self._check_unchanged()
        own = QuantizedNetwork(self.workload, self.config, device=self._network.device)
        own.adopt(self._network)
        return own

    def costs(self, bits: Any) -> NDArray[np.float64]:
        """Exact costs, in the order of ``cost_names``: integers[N, Q] -> float64[N, len(cost_names)]."""
        return self.cost_model.evaluate(bits)

    def neighbour_costs(self, bits: Any) -> NDArray[np.float64]:
        """Costs with one node alone at each width: integers[Q] -> float64[C, Q, W]."""
        return self.cost_model.neighbours(bits, np.array(self.bit_widths, dtype=np.uint8))

    def evaluate(self, bits: Any) -> NDArray[np.float64]:
        """All objectives, minimised, by real fake-quantized inference.

        Args:
            bits: integers[N, Q] or [Q] from ``bit_widths``.

        Returns:
            float64[N, K]: task errors, model ratio, bit-operation ratio, then the tables' costs. No
            row depends on the others, or on what was evaluated before.

        Raises:
            BitWidthError: on a wrong shape or a width that is not among ``bit_widths`` of the node.
            EvaluationError: if a metric returns no finite number, or memory runs out.
        """
        rows = as_bits(bits, self.num_nodes, self.bit_widths)
        check_choices(rows, self)
        with self._running() as network:
            new = [row for row in np.unique(rows, axis=0) if row.tobytes() not in self._found]
            for row, errors in zip(new, mean_errors(network, self._task, new, remember=True), strict=True):
                self._found[row.tobytes()] = errors
            found = [self._found[row.tobytes()] for row in rows]
        measured = np.array(found, dtype=np.float64).reshape(len(rows), len(self.metrics))
        return np.column_stack([measured, self.costs(rows)])

    def error(self, bits: Any, data: Any, metric: Any = None, *, count: bool = False) -> Any:
        """Task error on other data, such as a held-out split: integers[N, Q] -> float64[N].

        Args:
            bits: configurations.
            data: as the problem's own.
            metric: one, as the problem's own; its first by default.
            count: return the number of examples, too.
        """
        counted = Flag().check("count", count)
        rows = as_bits(bits, self.num_nodes, self.bit_widths)
        task = self._other_task(data, one_metric(metric, self.metrics))
        found = np.array([self._error_of(task, row) for row in rows])  # a search goes on in between
        return (found, task.count) if counted else found

    def _check_unchanged(self) -> None:
        """Refuse what would mix the ranges of this problem with later weights."""
        if workload_digests(self.workload)[0] != self._workloads[0]:
            raise DataError(
                f"{self.workload.name} is another network than when this problem was made, as by training",
                "make the problem again",
            )

    @property
    def evaluated(self) -> int:
        """How many configurations have been evaluated; they cost nothing a second time."""
        return len(self._found)

    def error_with(self, bits: Any, **settings: Any) -> NDArray[np.float64]:
        """The first task error with other fields of the config, calibrated anew on the same data.

        Args:
            bits: integers[N, Q] or [Q], each 2 to 16, or 32 for a node that stays in full precision.
            **settings: fields of ``QuantizationConfig`` in place of the problem's own.

        Returns:
            float64[N]; nothing is kept.

        Raises:
            DataError, TraceError: if the network was trained since, or folding or equalizing change it.
        """
        rows = as_bits(bits, self.num_nodes, arguments.ANY_WIDTH)
        config = changed(self.config, settings)
        self._check_unchanged()
        with self._running() as own:
            network = QuantizedNetwork(self.workload, config, device=own.device)
            self._calibrate(network)
            return np.array([errors[0] for errors in mean_errors(network, self._task, list(rows))])

    def error_objective(self, metric: Any = None) -> Objective:
        """What ``error`` gives with a metric."""
        return one_metric(metric, self.metrics)[0].objective

    def task(self, data: Any = None, metric: Any = None) -> Task:
        """Its own examples, or others as ``error`` takes them, for its own metrics or another."""
        metrics = self.metrics if metric is None else one_metric(metric, self.metrics)
        return self._task if data is None and metric is None else self._other_task(data, metrics)

    def full_precision_error(self, data: Any = None) -> float:
        """Task error of the network without quantization, on the search data or other data."""
        return self._error_of(self.task(data), None)

    def _error_of(self, task: Task, row: Any) -> float:
        with self._running() as network:
            return mean_errors(network, task, [row])[0][0]
