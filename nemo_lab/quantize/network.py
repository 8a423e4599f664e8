"""The network that runs quantized: batch norm folded, a quantizer at every node."""

from __future__ import annotations

import copy
import operator
from collections.abc import Sequence

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from nemo_lab.errors import DataError
from nemo_lab.quantize.affine import Affine, affine, fake_quantize_, quantize_weight
from nemo_lab.workload.operations import ADDITIONS, BATCH_NORMS, CONVOLUTIONS, LAYERS
from nemo_lab.workload.records import Workload

DEAD_VARIANCE = 1e-10
FRESH = (*LAYERS, *BATCH_NORMS, nn.ReLU, nn.ReLU6, nn.AdaptiveAvgPool2d)


class ActivationQuantizer(nn.Module):
    """A place in the network where a tensor is observed or quantized, or passes untouched."""

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.in_place = in_place
        self.quantizer: Affine | None = None
        self.observed: list[tuple[float, float]] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """The tensor, quantized if a quantizer is set."""
        if self.observed is not None:
            low, high = torch.aminmax(x)
            self.observed.append((float(low), float(high)))
        if self.quantizer is None:
            return x
        return fake_quantize_(x if self.in_place else x.clone(), self.quantizer)


class QuantizedNetwork:
    """A private copy of a workload's network that takes the widths of any configuration.

    Args:
        workload: what to quantize; its own module is not touched.

    Weights are quantized once for each layer and width and kept. Not safe from two threads at once.
    """

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        self.graph = copy.deepcopy(workload.graph).eval().requires_grad_(False)
        fold_batch_norms(self.graph)
        self.activations = self._insert_quantizers()
        self._weights: dict[tuple[int, int], Tensor] = {}
        self._layers = {
            node.index: self.graph.get_submodule(node.source)
            for node in workload.nodes
            if node.kind == "weight"
        }
        for layer in self._layers.values():  # layers may share a parameter, but not their widths
            layer.weight = nn.Parameter(_tensor(layer, "weight").data, requires_grad=False)
        self._full = {index: _tensor(layer, "weight").data for index, layer in self._layers.items()}
        self.ranges: dict[int, tuple[float, float]] = {}

    def _insert_quantizers(self) -> dict[int, ActivationQuantizer]:
        by_name = {node.name: node for node in self.graph.graph.nodes}
        quantizers = {}
        for node in self.workload.nodes:
            if node.kind == "weight":
                continue
            producer = by_name.get(node.source)
            if producer is None:  # a batch norm that was folded into the conv before it
                producer = by_name[self._folded[node.source]]
            quantizer = ActivationQuantizer(in_place=self._is_fresh(producer))
            target = f"quantizer_{node.index}"
            self.graph.add_submodule(target, quantizer)
            with self.graph.graph.inserting_after(producer):
                inserted = self.graph.graph.call_module(target, (producer,))
            producer.replace_all_uses_with(
                inserted, delete_user_cb=lambda user, new=inserted: user is not new
            )
            quantizers[node.index] = quantizer
        self.graph.recompile()
        return quantizers

    def _is_fresh(self, producer: fx.Node) -> bool:
        """Whether the tensor is nobody else's storage, unlike a parameter or a view.

        An input is, since every batch is copied; what works in place is as fresh as its input.
        """
        if producer.op == "placeholder":
            return True
        if producer.op == "call_module":
            module = self.graph.get_submodule(str(producer.target))
            in_place = getattr(module, "inplace", False)
        else:
            module, in_place = None, producer.target is operator.iadd
        if in_place:
            return self._is_fresh(producer.all_input_nodes[0])
        return isinstance(module, FRESH) or (producer.op == "call_function" and producer.target in ADDITIONS)

    @property
    def _folded(self) -> dict[str, str]:
        folded: dict[str, str] = self.graph.meta["folded"]
        return folded

    def calibrate(self, batches: Sequence[Tensor]) -> None:
        """Range of every activation: the mean over batches of the batch minimum and maximum.

        Raises:
            DataError: if there is no batch, or a range is not finite.
        """
        if not batches:
            raise DataError("the calibration set is empty", "give at least one batch of training images")
        for quantizer in self.activations.values():
            quantizer.quantizer, quantizer.observed = None, []
        self._use_weights(None)
        with torch.inference_mode():
            for batch in batches:
                self.graph(batch.clone())
        for index, quantizer in self.activations.items():
            observed = torch.tensor(quantizer.observed, dtype=torch.float64)
            quantizer.observed = None
            if not bool(torch.isfinite(observed).all()):
                raise DataError(
                    f"activation {self.workload.nodes[index].name!r} is not finite on the calibration set",
                    "remove NaN and infinity from the calibration images, or check the weights",
                )
            low, high = observed.mean(0).tolist()
            self.ranges[index] = (low, high)

    def set_bits(self, bits: Sequence[int] | None) -> None:
        """Quantize every node to the given widths, or run in full precision on ``None``."""
        for index, quantizer in self.activations.items():
            quantizer.quantizer = None if bits is None else affine(*self.ranges[index], bits=int(bits[index]))
        self._use_weights(bits)

    def _use_weights(self, bits: Sequence[int] | None) -> None:
        for index, layer in self._layers.items():
            if bits is None:
                _tensor(layer, "weight").data = self._full[index]
                continue
            width = int(bits[index])
            quantized = self._weights.get((index, width))
            if quantized is None:
                quantized = self._weights[index, width] = quantize_weight(self._full[index], width)
            _tensor(layer, "weight").data = quantized

    def __call__(self, inputs: Tensor) -> Tensor:
        """Logits of a batch at the widths last set."""
        with torch.inference_mode():
            logits: Tensor = self.graph(inputs.clone())  # a network may begin in place
            return logits


def fold_batch_norms(graph: fx.GraphModule) -> None:
    """Fold every batch norm that follows a conv of its own into that conv, in place.

    ``graph.meta["folded"]`` maps the fx name of each folded batch norm to its conv's.
    """
    modules = dict(graph.named_modules())
    folded: dict[str, str] = {}
    for norm in list(graph.graph.nodes):
        if norm.op != "call_module" or not isinstance(modules[str(norm.target)], BATCH_NORMS):
            continue
        conv = norm.all_input_nodes[0]
        if conv.op != "call_module" or not isinstance(modules[str(conv.target)], CONVOLUTIONS):
            continue
        calls = [n for n in graph.graph.nodes if n.op == "call_module" and n.target == conv.target]
        if len(conv.users) > 1 or len(calls) > 1 or modules[str(norm.target)].running_var is None:
            continue
        fused = fuse_conv_bn_eval(modules[str(conv.target)], modules[str(norm.target)])
        _silence_dead_channels(fused, modules[str(norm.target)])
        graph.set_submodule(str(conv.target), fused)
        norm.replace_all_uses_with(conv)
        graph.graph.erase_node(norm)
        folded[norm.name] = conv.name
    graph.meta["folded"] = folded
    graph.graph.lint()
    graph.recompile()


def _silence_dead_channels(conv: nn.Module, norm: nn.Module) -> None:
    """Give channels that never varied in training their constant output.

    Folding divides a channel's weights by its deviation. Where that is zero (a channel that died),
    the weights grow by 1 / sqrt(eps), some hundredfold, and widen the range of the whole tensor for
    a channel that carries nothing; in full precision the two are the same.
    """
    dead = _tensor(norm, "running_var") < DEAD_VARIANCE
    _tensor(conv, "weight").data[dead] = 0.0
    _tensor(conv, "bias").data[dead] = 0.0 if norm.bias is None else _tensor(norm, "bias").data[dead]


def _tensor(module: nn.Module, name: str) -> Tensor:
    """A parameter or buffer that is known to be there."""
    found = getattr(module, name)
    if not isinstance(found, Tensor):
        raise TypeError(f"{type(module).__name__}.{name} is a {type(found).__name__}")
    return found
