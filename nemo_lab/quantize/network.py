"""The network that runs quantized: batch norm folded, a quantizer at every decision."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from nemo_lab.errors import DataError
from nemo_lab.quantize.affine import Affine, Codes, round_, round_and_keep_
from nemo_lab.quantize.folding import fold_batch_norms, stored
from nemo_lab.quantize.ranges import Calibration, Observed, Ranges
from nemo_lab.quantize.segments import KeptStates, cut
from nemo_lab.quantize.weights import Weights
from nemo_lab.workload.operations import (
    BATCH_NORMS,
    LAYERS,
    PRODUCTS,
    changes_in_place,
    function_name,
    is_function,
)
from nemo_lab.workload.workload import Workload

FRESH = (
    *LAYERS, *BATCH_NORMS, nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish, nn.GELU, nn.LayerNorm,
    nn.AdaptiveAvgPool2d,
)  # fmt: skip
FRESH_FUNCTIONS = {*PRODUCTS, "add", "cat", "gelu", "layer_norm", "mul", "relu", "relu6", "silu", "softmax"}
CLAMPS: dict[Any, tuple[float, float]] = {
    nn.ReLU: (0.0, math.inf),
    nn.ReLU6: (0.0, 6.0),
    "relu": (0.0, math.inf),
    "relu6": (0.0, 6.0),
}


class ActivationQuantizer(nn.Module):
    """A place in the network where a tensor is observed or rounded.

    A ReLU or ReLU6 before it is absorbed: rounding is monotone, so clamping the integers gives the very
    same numbers in the pass that is needed anyway.

    Args:
        in_place: whether the tensor is nobody else's.
        floor, ceiling: of the activation function that was absorbed.
    """

    def __init__(self, in_place: bool, floor: float, ceiling: float) -> None:
        super().__init__()
        self.in_place, self.floor, self.ceiling = in_place, floor, ceiling
        self.quantizer: Affine | None = None
        self.observe: Callable[[Tensor], None] | None = None
        self.keep = False
        self.codes: Codes | None = None

    def set(self, quantizer: Affine | None) -> None:
        """Round by ``quantizer``, or not at all on None."""
        if quantizer is not None:
            scale, low, high = quantizer
            floor, ceiling = (
                float(np.rint(np.float32(x) / np.float32(scale))) for x in (self.floor, self.ceiling)
            )
            quantizer = Affine(scale, max(low, floor), min(high, ceiling))
        self.quantizer = quantizer

    def forward(self, x: Tensor) -> Tensor:
        """The tensor, rounded if a quantizer is set."""
        if self.quantizer is not None:
            x = x if self.in_place else x.clone()
            if self.keep:
                self.codes = round_and_keep_(x, self.quantizer)
                return x
            return round_(x, self.quantizer)
        if (self.floor, self.ceiling) != (-math.inf, math.inf):
            x = torch.clamp(x, self.floor, self.ceiling, out=x if self.in_place else None)
        if self.observe is not None:
            self.observe(x)
        return x


class QuantizedNetwork:
    """A private copy of a workload's network that takes the widths of any configuration.

    Args:
        workload: what to quantize; its own module is not touched.
        calibration: how ranges are found.
        device: where it runs.
        kept: bytes of activations kept for configurations that begin alike.
        weights: bytes of quantized weights kept.

    Not safe from two threads at once.
    """

    def __init__(
        self,
        workload: Workload,
        calibration: Calibration | None = None,
        *,
        device: torch.device | str = "cpu",
        kept: int = 2**27,
        weights: int = 2**28,
    ) -> None:
        self.workload = workload
        self.calibration = calibration or Calibration()
        self.device = torch.device(device)
        self.graph = copy.deepcopy(workload.graph).eval().requires_grad_(False).float().to(self.device)
        self._folded = fold_batch_norms(self.graph) if self.calibration.fold else {}
        columns: dict[str, int] = {}
        self.activations = self._insert_quantizers(columns)
        self._stored: dict[str, Tensor] = {}
        axes = {}
        for node in workload.nodes:
            for quantizer in (q for q in node.quantizers if q.kind == "weight"):
                columns[quantizer.source] = node.index
                self._stored[quantizer.name] = stored(self.graph, quantizer.source)
                axes[quantizer.name] = quantizer.axis
        full = {name: tensor.data for name, tensor in self._stored.items()}
        self.weights = Weights(full, axes, self.calibration, weights)
        self.ranges: dict[str, Ranges] = {}
        self.kept = KeptStates(kept)
        self.channels_last = False
        self._columns = columns
        self._cut()

    def _cut(self) -> None:
        places = {f"quantizer_{i}": module for i, module in enumerate(self.activations.values())}
        self.segments = cut(self.graph, places, self._columns)
        self._modules = {n: places[n.target] for n in self.graph.graph.nodes if n.target in places}
        inputs = [n for n in self.graph.graph.nodes if n.op == "placeholder"]
        self._copies_input = any(user not in self._modules for n in inputs for user in n.users)

    def _insert_quantizers(self, columns: dict[str, int]) -> dict[str, ActivationQuantizer]:
        by_name = {node.name: node for node in self.graph.graph.nodes}
        quantizers: dict[str, ActivationQuantizer] = {}
        for node in self.workload.nodes:
            for place in (q for q in node.quantizers if q.kind == "activation"):
                producer = by_name.get(place.source)
                if producer is None:  # a batch norm that was folded into the conv before it
                    producer = by_name[self._folded[place.source]]
                path = f"quantizer_{len(quantizers)}"
                quantizers[place.name] = self._insert(producer, path)
                columns[path] = node.index
        self.graph.graph.lint()
        self.graph.recompile()
        return quantizers

    def _insert(self, producer: fx.Node, path: str) -> ActivationQuantizer:
        clamp = self._clamp(producer)
        reads = producer if clamp is None else producer.all_input_nodes[0]
        alone = clamp is None or len(reads.users) == 1
        quantizer = ActivationQuantizer(alone and self._is_fresh(reads), *(clamp or (-math.inf, math.inf)))
        self.graph.add_submodule(path, quantizer)
        with self.graph.graph.inserting_after(producer):
            inserted = self.graph.graph.call_module(path, (reads,))
        producer.replace_all_uses_with(inserted, delete_user_cb=lambda user: user is not inserted)
        if clamp is not None:
            self.graph.graph.erase_node(producer)
        return quantizer

    def _clamp(self, node: fx.Node) -> tuple[float, float] | None:
        """The bounds of an activation function that a quantizer behind it can absorb."""
        if node.op == "call_module":
            found = CLAMPS.get(type(self.graph.get_submodule(str(node.target))))
        else:
            found = CLAMPS.get(function_name(node)) if is_function(node) else None
        if found is None or not changes_in_place(self.graph, node):
            return found
        changed = node.all_input_nodes[0]  # which nobody else may see
        return found if len(changed.users) == 1 and self._is_fresh(changed) else None

    def _is_fresh(self, producer: fx.Node) -> bool:
        """Whether the tensor is nobody else's storage; what works in place is as fresh as its input."""
        if changes_in_place(self.graph, producer):
            return self._is_fresh(producer.all_input_nodes[0])
        if producer.op == "call_module":
            return isinstance(self.graph.get_submodule(str(producer.target)), FRESH)
        return is_function(producer) and function_name(producer) in FRESH_FUNCTIONS

    def calibrate(self, batches: Sequence[Tensor]) -> None:
        """Find the range of every activation.

        Raises:
            DataError: if there is no batch, or a range is not finite.
        """
        if not batches:
            raise DataError("the calibration set is empty", "give at least one batch of training images")
        self.set_bits(None)
        self._try_channels_last(batches[0])
        seen = {name: Observed() for name in self.activations}
        for name, quantizer in self.activations.items():
            quantizer.observe = lambda x, observed=seen[name]: observed.see(x, self.calibration)
        try:
            for batch in batches:
                self(self.prepare(batch))
        finally:
            for quantizer in self.activations.values():
                quantizer.observe = None
        self.ranges = {name: Ranges(name, observed, self.calibration) for name, observed in seen.items()}

    def adopt(self, other: QuantizedNetwork) -> None:
        """Take over the calibration and the layout of a network of the same workload."""
        self.ranges = dict(other.ranges)
        if other.channels_last:
            self._use_layout(True, {name: channels_last(full) for name, full in self.weights.full.items()})

    def _try_channels_last(self, batch: Tensor) -> None:
        """Convolutions are faster where channels lie together, if nothing asks for the other layout."""
        if batch.ndim != 4 or self.device.type != "cpu":
            return
        few = batch[:2]  # with one example, more views are permitted
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

    def prepare(self, batch: Tensor) -> Tensor:
        """A batch where and as the network wants it."""
        batch = batch.to(self.device)
        return channels_last(batch) if self.channels_last else batch.contiguous()

    def set_bits(self, bits: Any) -> None:
        """Quantize every node to the given widths, or run in full precision on ``None``."""
        for node in self.workload.nodes:
            width = None if bits is None else int(bits[node.index])
            for quantizer in node.quantizers:
                name = quantizer.name
                if quantizer.kind == "weight":
                    full = self.weights.full[name]
                    self._stored[name].data = full if width is None else self.weights.at(name, width)
                else:
                    found = None if width is None else self.ranges[name].quantizer(width)
                    self.activations[name].set(found)
        self._row = None if bits is None else np.asarray(bits, dtype=np.uint8)

    def __call__(self, inputs: Tensor) -> Any:
        """The output for a prepared batch at the widths last set."""
        with torch.inference_mode():
            values: Any = (inputs.clone() if self._copies_input else inputs,)
            for segment in self.segments:
                values = segment.run.forward(*values)
            return self.graph.graph.process_outputs(values)

    def run(self, batch: int, inputs: Tensor) -> Any:
        """The same for batch number ``batch`` of a data set, from where an earlier run agrees."""
        if self._row is None or len(self.segments) < 2:
            return self(inputs)
        last, row = len(self.segments) - 1, self._row.tobytes()
        beginnings = [(k, self._row[segment.decisions].tobytes()) for k, segment in enumerate(self.segments)]
        begin, parts = 0, dict[fx.Node, Codes]()
        values: Any = (inputs.clone() if self._copies_input else inputs,)
        wanted = [k for k in range(last) if self.kept.recurs(beginnings[k], row)]
        flowing = {node for k in wanted for node in self.segments[k].outputs}
        with torch.inference_mode(), self._coding(flowing):
            for k in range(last - 1, -1, -1):
                state = self.kept.get((batch, beginnings[k]))
                if state is not None:
                    begin = k + 1
                    parts = dict(zip(self.segments[k].outputs, state, strict=True))
                    values = tuple(part.decode() for part in state)
                    break
            for k in range(begin, last):
                values = self.segments[k].run.forward(*values)
                for node in flowing.intersection(self.segments[k].outputs).intersection(self._modules):
                    codes = self._modules[node].codes
                    if node not in parts and codes is not None:
                        parts[node] = codes
                if k in wanted and parts.keys() >= set(self.segments[k].outputs):
                    kept = tuple(parts[node] for node in self.segments[k].outputs)
                    self.kept.put((batch, beginnings[k]), kept)
            return self.graph.graph.process_outputs(self.segments[last].run.forward(*values))

    @contextmanager
    def _coding(self, nodes: set[fx.Node]) -> Iterator[None]:
        """Have the quantizers at these nodes give codes."""
        modules = [module for node, module in self._modules.items() if node in nodes]
        for module in modules:
            module.keep = True
        try:
            yield
        finally:
            for module in modules:
                module.keep, module.codes = False, None


def channels_last(x: Tensor) -> Tensor:
    """A copy of images or of a kernel with the strides of channels last; what is neither, as it is.

    ``contiguous`` will not do: of one channel, or of one pixel, it says that any strides are right, and a
    convolution that finds them contiguous runs in the slower layout.
    """
    return x.clone(memory_format=torch.channels_last) if x.ndim == 4 else x
