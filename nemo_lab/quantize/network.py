"""The network that runs quantized: batch norm folded, a quantizer at every decision."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nemo_lab.errors import DataError
from nemo_lab.exclusion import computing
from nemo_lab.interruption import check_interrupted
from nemo_lab.quantize.activation_quantizer import insert_quantizers
from nemo_lab.quantize.affine import Affine
from nemo_lab.quantize.biases import Biases
from nemo_lab.quantize.config import QuantizationConfig
from nemo_lab.quantize.equalization import equalize
from nemo_lab.quantize.folding import fold_batch_norms, paths_of, stored
from nemo_lab.quantize.observers import Observer, Ranges, sqnr
from nemo_lab.quantize.precision import compute_in
from nemo_lab.quantize.prefix_cache import KeptStates
from nemo_lab.quantize.segments import cut
from nemo_lab.quantize.tensors import channels_last
from nemo_lab.quantize.weights import Weights
from nemo_lab.workload.own_numbers import OwnNumbers
from nemo_lab.workload.records import FULL_PRECISION, Node, Quantizer
from nemo_lab.workload.shapes_and_macs import placeholders
from nemo_lab.workload.untouched import untouched
from nemo_lab.workload.workload import Workload
from nemo_lab.workload.written import STATE, changes_in_place

Batch = tuple[Tensor, ...]


class QuantizedNetwork:
    """A private copy of a workload's network that takes the widths of any configuration.

    Args:
        workload: what to quantize; its own module is not touched.
        config: how ranges are found, and what the quantizers are.
        device: where it runs.
        kept: bytes of activations kept for configurations that begin alike.
        weights: bytes of quantized weights kept.

    Not safe from two threads at once.
    """

    def __init__(
        self,
        workload: Workload,
        config: QuantizationConfig | None = None,
        *,
        device: torch.device | str = "cpu",
        kept: int = 2**27,
        weights: int = 2**28,
    ) -> None:
        self.workload = workload
        self.config = config or QuantizationConfig()
        self.device = torch.device(device)
        with computing():
            own = copy.deepcopy(workload.graph)
        self.graph = compute_in(own.eval().requires_grad_(False), torch.float32).to(self.device)
        for path in workload.graph.meta["training"]:
            self.graph.get_submodule(path).training = True
        self.folded = fold_batch_norms(self.graph) if self.config.fold else {}
        moved = equalize(self.graph) if self.config.equalize else {}
        self.activations, columns = insert_quantizers(self.graph, workload, {**self.folded, **moved})
        self._stored: dict[str, Tensor] = {}
        self.biases = Biases(self.graph, workload, self.activations, rounds=self.config.bias == "int32")
        scales = {}
        for node in workload.nodes:
            for quantizer in (q for q in node.quantizers if q.kind == "weight"):
                columns |= dict.fromkeys(paths_of(self.graph, quantizer.source), node.index)
                self._stored[quantizer.name] = stored(self.graph, quantizer.source)
                scales[quantizer.name] = quantizer.scales
        full = {name: tensor.data for name, tensor in self._stored.items()}
        self.weights = Weights(full, scales, self.config, weights)
        self.ranges: dict[str, Ranges] = {}
        self.widths: dict[str, int | None] = {}
        self.kept = KeptStates(kept)
        self.channels_last = False
        self.columns = columns
        metas = [node.meta for node in self.graph.graph.nodes]
        self._draws, self._remembers = (any(meta.get(key) for meta in metas) for key in ("random", STATE))
        self._cut()

    def _cut(self) -> None:
        places = {module.path: module for module in self.activations.values()}
        self.segments = cut(self.graph, places, self.columns)
        self._modules = {n: places[n.target] for n in self.graph.graph.nodes if n.target in places}
        inputs = [n for n in self.graph.graph.nodes if n.op == "placeholder"]
        self._copies_input = any(  # in full precision a quantizer gives what it is given
            user not in self._modules for n in inputs for user in n.users
        ) or any(changes_in_place(self.graph, n) for n in self.graph.graph.nodes)

    def calibrate(self, batches: Sequence[Tensor | Batch]) -> None:
        """Find the range of every activation.

        Raises:
            DataError: if there is no batch, or a range is not finite.
        """
        if not batches:
            raise DataError("the calibration set is empty", "give at least one batch of training images")
        self.set_bits(None)
        self._try_channels_last(_several(batches[0]))
        observers = {name: Observer(self.config) for name in self.activations}
        for name, quantizer in self.activations.items():
            quantizer.observe = observers[name].observe
        try:
            for number, batch in enumerate(batches):
                check_interrupted()
                self(self.prepare(batch), number)
        finally:
            for quantizer in self.activations.values():
                quantizer.observe = None
        self.ranges = {name: Ranges(name, observer) for name, observer in observers.items()}
        self.biases.forget()

    def adopt(self, other: QuantizedNetwork) -> None:
        """Take over the calibration and the layout of a network of the same workload."""
        self.restore(other.ranges, other.channels_last)

    def restore(self, ranges: Mapping[str, Ranges], in_last: bool) -> None:
        """Take over the range of every activation, and whether channels lie last in memory."""
        self.ranges = dict(ranges)
        self.biases.forget()
        if in_last:
            self._use_layout(True, {name: channels_last(full) for name, full in self.weights.full.items()})

    def _try_channels_last(self, batch: Batch) -> None:
        """Convolutions are faster where channels lie together, if nothing asks for the other layout."""
        if any(tensor.ndim != 4 for tensor in batch) or self.device.type != "cpu":
            return
        few = tuple(x[:2] if len(x) > 1 else torch.cat([x, x]) for x in batch)  # one permits more views
        expected = self(few)
        before = self.weights.full
        self._use_layout(True, {name: channels_last(weight) for name, weight in before.items()})
        try:
            found = self(self.prepare(few))
            atol = 1e-3 * float(expected.abs().max())
            same = torch.allclose(found, expected, rtol=1e-3, atol=atol, equal_nan=True)
        except Exception:  # such as a view that only the other layout permits
            same = False
        if not same:
            self._use_layout(False, before)

    def _use_layout(self, channels_last: bool, weights: dict[str, Tensor]) -> None:
        self.channels_last, self.weights.full = channels_last, weights
        self.set_bits(None)

    def prepare(self, batch: Any) -> Any:
        """A batch, one tensor or several, where and as the network wants it."""
        if not isinstance(batch, Tensor):
            return tuple(map(self.prepare, batch))
        batch = batch.to(self.device)
        return channels_last(batch) if self.channels_last else batch.contiguous()

    def set_bits(self, bits: Any) -> None:
        """Quantize every node to the given widths, or run in full precision on ``None``.

        A width of 32 leaves one node in full precision.
        """
        for node in self.workload.nodes:
            width = None if bits is None or bits[node.index] == FULL_PRECISION else int(bits[node.index])
            self._set_node(node, width)
        self.biases.update(self.widths, self.ranges, self.weights)
        self._row = None if bits is None else np.asarray(bits, dtype=np.uint8)

    def set_node(self, node: Node, width: int | None) -> None:
        """Quantize one node to a width, or not at all."""
        self._set_node(node, width)
        self.biases.update(self.widths, self.ranges, self.weights, {q.name for q in node.quantizers})

    def quantizers(self, one: Quantizer, width: int) -> tuple[Affine, ...]:
        """What rounds a tensor at a width: one, or one for each run of a weight."""
        if one.kind == "weight":
            return self.weights.quantizers(one.name, width)
        return (self.ranges[one.name].quantizer(width),)

    def _set_node(self, node: Node, width: int | None) -> None:
        for quantizer in node.quantizers:
            name = quantizer.name
            self.widths[name] = width
            if quantizer.kind == "weight":
                full = self.weights.full[name]
                self._stored[name].data = full if width is None else self.weights.at(name, width)
            else:
                self.activations[name].set(None if width is None else self.ranges[name].quantizer(width))

    def __call__(self, inputs: Tensor | Batch, number: int = 0) -> Any:
        """The output for a prepared batch at the widths last set, the same each time.

        Args:
            inputs: the batch: one tensor, or those that the network takes, in the order of ``Inputs.leaves``.
            number: of the batch, from which its random numbers come where the network draws some.
        """
        with torch.inference_mode(), self.as_at_first(number):
            values: Any = self.entering(inputs)
            for segment in self.segments:
                values = segment.run.forward(*values)
            return self.graph.graph.process_outputs(values)

    def sqnr(self, widths: Sequence[int]) -> list[list[float]]:
        """Signal to quantization noise in dB: a row for each node, a column for each width.

        Weights exactly, activations on samples; a tied node has the worst of its quantizers.
        """
        return [
            [min(self._sqnr(quantizer.name, bits) for quantizer in node.quantizers) for bits in widths]
            for node in self.workload.nodes
        ]

    def _sqnr(self, name: str, bits: int) -> float:
        if name in self.weights.full:
            return sqnr(self.weights.full[name], self.weights.at(name, bits))
        return self.ranges[name].sqnr(bits)

    def entering(self, inputs: Tensor | Batch) -> list[Any]:
        """The value of each placeholder, with what does not change from batch to batch."""
        batch = _several(inputs)
        if self._copies_input:
            batch = tuple(map(torch.clone, batch))
        return placeholders(self.graph, *self.workload.inputs.call(batch, torch.float32))

    def run(self, batch: int, inputs: Tensor | Batch) -> Any:
        """The same for batch number ``batch`` of a data set, from where an earlier run agrees."""
        if self._row is None or len(self.segments) < 2:
            return self(inputs, batch)
        with torch.inference_mode():
            values = self.kept.run(self.segments, batch, self._row, self.entering(inputs), self._modules)
            return self.graph.graph.process_outputs(values)

    @contextmanager
    def as_at_first(self, number: int) -> Iterator[None]:
        """Random numbers from the beginning, and buffers afterwards as before."""
        with (
            OwnNumbers(number) if self._draws else nullcontext(),
            untouched(self.graph) if self._remembers else nullcontext(),
        ):
            yield


def _several(inputs: Tensor | Batch) -> Batch:
    return (inputs,) if isinstance(inputs, Tensor) else inputs
