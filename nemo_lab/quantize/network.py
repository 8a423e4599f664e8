"""The network that runs quantized: batch norm folded, a quantizer at every node."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from nemo_lab.errors import DataError
from nemo_lab.quantize.affine import Affine, affine, fake_quantize_, quantize_weight
from nemo_lab.workload.operations import (
    BATCH_NORMS,
    CONVOLUTIONS,
    LAYERS,
    PRODUCTS,
    function_name,
    works_in_place,
)
from nemo_lab.workload.workload import Workload

DEAD_VARIANCE = 1e-10
FRESH = (
    *LAYERS,
    *BATCH_NORMS,
    nn.ReLU,
    nn.ReLU6,
    nn.SiLU,
    nn.Hardswish,
    nn.GELU,
    nn.LayerNorm,
    nn.AdaptiveAvgPool2d,
)
FRESH_FUNCTIONS = {*PRODUCTS, "add", "cat", "gelu", "layer_norm", "mul", "relu", "silu", "softmax"}


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
        self.graph = copy.deepcopy(workload.graph).eval().requires_grad_(False).float()
        fold_batch_norms(self.graph)
        self.activations = self._insert_quantizers()
        self._weights: dict[tuple[str, int], Tensor] = {}
        self._stored = {
            quantizer.name: _stored(self.graph, quantizer.source)
            for node in workload.nodes
            for quantizer in node.quantizers
            if quantizer.kind == "weight"
        }
        self._full = {name: tensor.data for name, tensor in self._stored.items()}
        self.ranges: dict[str, tuple[float, float]] = {}

    def _insert_quantizers(self) -> dict[str, ActivationQuantizer]:
        by_name = {node.name: node for node in self.graph.graph.nodes}
        quantizers = {}
        placed = [q for node in self.workload.nodes for q in node.quantizers if q.kind == "activation"]
        for number, place in enumerate(placed):
            producer = by_name.get(place.source)
            if producer is None:  # a batch norm that was folded into the conv before it
                producer = by_name[self._folded[place.source]]
            quantizer = ActivationQuantizer(in_place=self._is_fresh(producer))
            target = f"quantizer_{number}"
            self.graph.add_submodule(target, quantizer)
            with self.graph.graph.inserting_after(producer):
                inserted = self.graph.graph.call_module(target, (producer,))
            producer.replace_all_uses_with(
                inserted, delete_user_cb=lambda user, new=inserted: user is not new
            )
            quantizers[place.name] = quantizer
        self.graph.recompile()
        return quantizers

    def _is_fresh(self, producer: fx.Node) -> bool:
        """Whether the tensor is nobody else's storage, unlike a view.

        An input is, since every batch is copied; what works in place is as fresh as its input.
        """
        if producer.op == "placeholder":
            return True
        if producer.op == "call_module":
            module = self.graph.get_submodule(str(producer.target))
            fresh, in_place = isinstance(module, FRESH), getattr(module, "inplace", False)
        else:
            fresh, in_place = function_name(producer) in FRESH_FUNCTIONS, works_in_place(producer)
        if in_place:
            return self._is_fresh(producer.all_input_nodes[0])
        return fresh

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
        self.set_bits(None)
        for quantizer in self.activations.values():
            quantizer.observed = []
        with torch.inference_mode():
            for batch in batches:
                self.graph(batch.clone())
        for name, quantizer in self.activations.items():
            observed = torch.tensor(quantizer.observed, dtype=torch.float64)
            quantizer.observed = None
            if not bool(torch.isfinite(observed).all()):
                raise DataError(
                    f"activation {name!r} is not finite on the calibration set",
                    "remove NaN and infinity from the calibration images, or check the weights",
                )
            low, high = observed.mean(0).tolist()
            self.ranges[name] = (low, high)

    def set_bits(self, bits: Sequence[int] | None) -> None:
        """Quantize every node to the given widths, or run in full precision on ``None``."""
        for node in self.workload.nodes:
            for quantizer in node.quantizers:
                width = None if bits is None else int(bits[node.index])
                if quantizer.kind == "weight":
                    self._stored[quantizer.name].data = self._weight(quantizer.name, width)
                else:
                    found = None if width is None else affine(*self.ranges[quantizer.name], bits=width)
                    self.activations[quantizer.name].quantizer = found

    def _weight(self, name: str, width: int | None) -> Tensor:
        if width is None:
            return self._full[name]
        if (name, width) not in self._weights:
            self._weights[name, width] = quantize_weight(self._full[name], width)
        return self._weights[name, width]

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
    uses = Counter(id(tensor) for node in graph.graph.nodes for tensor in _read(graph, node))
    folded: dict[str, str] = {}
    for norm in list(graph.graph.nodes):
        if norm.op != "call_module" or not isinstance(modules[str(norm.target)], BATCH_NORMS):
            continue
        conv = norm.all_input_nodes[0]
        if conv.op != "call_module" or not isinstance(modules[str(conv.target)], CONVOLUTIONS):
            continue
        if len(conv.users) > 1 or uses[id(modules[str(conv.target)].weight)] > 1:
            continue
        if modules[str(norm.target)].running_var is None:
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


def _read(graph: fx.GraphModule, node: fx.Node) -> list[Tensor]:
    """The stored tensors that a node reads."""
    if node.op == "call_module":
        return list(graph.get_submodule(str(node.target)).parameters())
    return [_stored(graph, str(node.target))] if node.op == "get_attr" else []


def _stored(graph: fx.GraphModule, path: str) -> Tensor:
    """A parameter or buffer by its path."""
    owner, _, name = path.rpartition(".")
    return _tensor(graph.get_submodule(owner), name)


def _tensor(module: nn.Module, name: str) -> Tensor:
    """A parameter or buffer that is known to be there."""
    found = getattr(module, name)
    if not isinstance(found, Tensor):
        raise TypeError(f"{type(module).__name__}.{name} is a {type(found).__name__}")
    return found
