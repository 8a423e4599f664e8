"""The problem the search solves: bits in, task errors and exact costs out."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from nemo_lab._torch import torch_threads
from nemo_lab.arguments import COUNT, Flag
from nemo_lab.cost import CostModel, as_bits
from nemo_lab.cost.model import BitOps
from nemo_lab.cost.objectives import cost_objectives
from nemo_lab.exclusion import computing
from nemo_lab.interruption import held
from nemo_lab.objective import Objective
from nemo_lab.problem import Problem
from nemo_lab.quantize import arguments
from nemo_lab.quantize.affine import Affine
from nemo_lab.quantize.config import QuantizationConfig, configured
from nemo_lab.quantize.data import Examples, as_examples, given
from nemo_lab.quantize.evaluation import Task, make_task, mean_errors
from nemo_lab.quantize.fingerprint import digest, fingerprint, former, settings_digests
from nemo_lab.quantize.memory import check_memory, weight_bytes
from nemo_lab.quantize.metrics import Metric, as_metrics, bounded, functions, one_metric
from nemo_lab.quantize.network import QuantizedNetwork
from nemo_lab.quantize.verification import check_same
from nemo_lab.workload.workload import Workload

if TYPE_CHECKING:
    import pandas as pd

BIT_WIDTHS = (2, 3, 4, 5, 6, 7, 8)


class QuantizationProblem(Problem):
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
        bit_widths: the widths to choose from, ascending, each 2 to 16.
        bitops: ``"max"`` or ``"product"``, see ``CostModel``.
        cost_model: the costs to minimise, in place of ``bitops``: its tables are further objectives.
        config: how ranges are found and what the quantizers are.
        batch_size: examples per forward pass; chosen by the size of the activations by default.
        calibration_batch: examples per calibration batch; fewer than half of it that are left over join the
            last, which they would outweigh alone.
        threads: torch threads of a forward pass; by default one for small networks, else all cores.
        device: where the network runs; the GPU if torch sees one.
        kept_mb: cap on activations kept for configurations that begin alike, in MB.
        **settings: fields of ``QuantizationConfig`` in place of ``config``, such as ``per_channel=True``.

    Raises:
        DataError: on data that is missing, empty, not finite, or does not fit.
        TraceError: if the network, once traced and folded, no longer gives what the module gives.
        UnknownNameError: on a keyword that there is not.
        ArgumentError: on any other argument that cannot be used, or too little memory.

    Warns:
        NemoWarning: if it will take more than 1 GB of memory, with the estimate.

    ``evaluate`` may be called from any thread; calls wait for each other. Configurations that were
    evaluated before cost nothing. A run that is stopped leaves it between two batches of images.
    """

    workload: Workload
    cost_model: CostModel

    def __init__(
        self,
        workload: Workload,
        calibration: Any = None,
        data: Any = None,
        metric: Any = None,
        bit_widths: Sequence[int] = BIT_WIDTHS,
        bitops: BitOps = "max",
        *,
        config: QuantizationConfig | None = None,
        cost_model: CostModel | None = None,
        batch_size: int | None = None,
        calibration_batch: int = 32,
        threads: int | None = None,
        device: torch.device | str | None = None,
        kept_mb: float = 128,
        **settings: Any,
    ) -> None:
        self.workload = arguments.checked_workload(workload)
        self.config = configured(config, settings, inspect.signature(type(self)).parameters)
        self.metrics = as_metrics(arguments.metric_of(workload, metric))
        self.metric = ", ".join(m.name for m in self.metrics)
        self.bit_widths = arguments.WIDTHS.check("bit_widths", bit_widths)
        self.batch_size = arguments.batch_size_of(workload, batch_size)
        self.threads = arguments.threads_of(workload, threads)
        self.cost_model = arguments.cost_model_of(workload, bitops, cost_model)
        self.cost_names = self.cost_model.cost_names
        self.objective_names = arguments.objective_names(self.metrics, self.cost_names)
        self.num_nodes = len(workload.nodes)
        self.node_names = workload.names
        self.node_features = workload.features
        self.edges = workload.edges
        self._lock = threading.Lock()
        self._found: dict[bytes, tuple[float, ...]] = {}

        calibrated = COUNT.check("calibration_batch", calibration_batch)
        kept = int(1e6 * arguments.MEGABYTES.check("kept_mb", kept_mb))
        place = arguments.Device().check("device", device)
        images = as_examples(given(calibration, workload, "calibration"), workload, "calibration", "ignored")
        examples = self._examples(given(data, workload, "data"), self.metrics)
        batches = images.batches(calibrated, least=(calibrated + 1) // 2)
        together = [len(batches[-1])] if len(batches[-1]) > calibrated else []
        self._calibrated_by = digest([calibrated, *together, *images.inputs])
        weights = weight_bytes(workload, len(self.bit_widths))
        largest = max(min(self.batch_size, len(examples)), *map(len, batches))
        self.memory_bytes = check_memory(workload, len(images) + len(examples), largest, kept, weights)
        self._network = QuantizedNetwork(workload, self.config, device=place, kept=kept, weights=weights)
        with self._running() as network:
            check_same(network, batches[0].inputs)
            network.calibrate([batch.inputs for batch in batches])
            self._task = make_task(network, examples, self.metrics, self.batch_size)
        model = self.cost_model
        costs = cost_objectives(model.cost_names, model.full_precision, model.bounds(self.bit_widths))
        self.objectives = (*bounded(self.metrics, self._task.worst, self._full, self._uniform), *costs)

    def _full(self) -> tuple[float, ...]:
        """Errors in full precision, one for each metric."""
        with self._running() as network:
            return mean_errors(network, self._task, [None])[0]

    def _uniform(self) -> NDArray[np.float64]:
        """Errors float64[2, metrics] with every node at the lowest, and at the highest width."""
        ends = np.array([[width] * self.num_nodes for width in (self.bit_widths[0], self.bit_widths[-1])])
        return self.evaluate(ends)[:, : len(self.metrics)]

    def fingerprint(self) -> dict[str, str]:
        """Digests of what results depend on: ``workload``, ``data``, ``settings``, ``code`` of metrics."""
        batches = [(*inputs, labels) for inputs, labels, _ in self._task.batches]
        data = [self._calibrated_by, *(tensor for batch in batches for tensor in batch if tensor is not None)]
        return fingerprint(self.workload, data, self._settings[0], self._functions)

    def former_fingerprints(self, now: Mapping[str, str]) -> tuple[dict[str, str], ...]:
        """The same as earlier versions wrote it, so that what they stored is known again."""
        averaged = any(self._task.of_set) and len(self._task.batches) > 1  # by those versions
        return () if averaged else former(now, self._settings, self._functions)

    @property
    def _functions(self) -> list[str]:
        """What tells metrics of one's own from others of the same names."""
        whole = [m.name for m, of_set in zip(self.metrics, self._task.of_set, strict=True) if of_set]
        marks = [f"{name} of all at once" for name in whole if len(self._task.batches) > 1]
        return [*functions(self.metrics), *marks]

    @property
    def _settings(self) -> tuple[str, ...]:
        """Digests of the settings, as this version writes them, then as earlier ones did."""
        costs = self.costs(np.tile([[width] for width in self.bit_widths], self.num_nodes))
        measured, place = (self.metric, self.bit_widths), str(self._network.device)
        run = (self.batch_size, self.threads, place, self.objective_names, costs)
        return settings_digests(measured, self.config, run)

    @contextmanager
    def _running(self) -> Iterator[QuantizedNetwork]:
        """The network, for one caller at a time."""
        with computing(), held(self._lock), torch_threads(self.threads):
            yield self._network

    def _examples(self, data: Any, metrics: Sequence[Metric]) -> Examples:
        labelled = any(m.needs_labels for m in metrics)
        return as_examples(data, self.workload, "data", "needed" if labelled else "taken")

    def _other_task(self, data: Any, metrics: tuple[Metric, ...]) -> Task:
        examples = self._examples(data, metrics)
        with self._running() as network:
            return make_task(network, examples, metrics, self.batch_size)

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """Calibrated range of every activation, at no width in particular: name -> (low, high)."""
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
        """A quantized network of the caller's own, with this problem's calibration and memory layout."""
        own = QuantizedNetwork(self.workload, self.config)
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
            BitWidthError: on a wrong shape or a width that is not among ``bit_widths``.
            EvaluationError: if a metric returns no finite number, or memory runs out.
        """
        rows = as_bits(bits, self.num_nodes, self.bit_widths)
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
        found = []
        for row in rows:  # one by one, so that a search goes on in between
            with self._running() as network:
                found.append(mean_errors(network, task, [row])[0][0])
        return (np.array(found), task.count) if counted else np.array(found)

    def error_objective(self, metric: Any = None) -> Objective:
        """What ``error`` gives with a metric."""
        return one_metric(metric, self.metrics)[0].objective

    def full_precision_error(self, data: Any = None) -> float:
        """Task error of the network without quantization, on the search data or other data."""
        task = self._task if data is None else self._other_task(data, self.metrics)
        with self._running() as network:
            return mean_errors(network, task, [None])[0][0]

    def sqnr(self) -> pd.DataFrame:
        """Signal to quantization noise of every node at every width, in dB, each node alone.

        Weights exactly, activations on samples of the calibration set. The cheapest sign of what a node
        can bear: 6 dB are one bit. A tied node has the worst of its quantizers.
        """
        import pandas as pd

        with self._running() as network:
            rows = network.sqnr(self.bit_widths)
        widths = pd.Index(self.bit_widths, name="bits")
        return pd.DataFrame(rows, index=pd.Index(self.node_names, name="node"), columns=widths)
