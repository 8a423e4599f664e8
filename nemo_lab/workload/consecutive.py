"""Layers that follow each other: which alone reads another, and through what."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from torch import Tensor, fx, nn

from nemo_lab.workload.nodes import argument, function_name, is_function, reads_numbers
from nemo_lab.workload.operations import CONVOLUTIONS
from nemo_lab.workload.reading import readers_of

ALIKE = (nn.ReLU, nn.LeakyReLU, nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
POOLS = (
    nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d,
    nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d,
)  # fmt: skip
ALIKE_FUNCTIONS = {"relu", "leaky_relu", "dropout", "feature_dropout", "contiguous", "clone", "detach"}
POOLING = {"max_pool", "_max_pool", "avg_pool", "adaptive_avg_pool", "_adaptive_avg_pool"}
FLATTENING = {"flatten", "reshape", "view", "squeeze"}


@dataclass(eq=False)
class Layer:
    """A convolution or a product by a weight, which nothing else reads.

    Attributes:
        node: of the graph.
        weight: float32[O, I / groups, ...]; changed in place.
        bias: float32[O], or None.
        groups: of a convolution.
        sizes: float64[groups, O / groups, I / groups]: the largest magnitude between two channels.
    """

    node: fx.Node
    weight: Tensor
    bias: Tensor | None
    groups: int
    sizes: Tensor = field(init=False)

    def __post_init__(self) -> None:
        largest = self.weight.detach().double().abs().reshape(*self.weight.shape[:2], -1).amax(2)
        self.sizes = largest.reshape(self.groups, -1, largest.shape[1])

    def scale_given(self, by: Tensor) -> None:
        """Multiply the channels that it gives: float64[O]."""
        self._scale(by.reshape(self.groups, -1, 1).expand(self.sizes.shape))
        if self.bias is not None:
            self.bias.data = (self.bias.data.double() * by).to(self.bias.dtype)

    def scale_read(self, by: Tensor) -> None:
        """Multiply what it makes of the channels that it reads: float64[I]."""
        self._scale(by.reshape(self.groups, 1, -1).expand(self.sizes.shape))

    def _scale(self, by: Tensor) -> None:
        shape = (*self.weight.shape[:2], *[1] * (self.weight.ndim - 2))
        self.weight.data = (self.weight.data.double() * by.reshape(shape)).to(self.weight.dtype)


@dataclass(frozen=True, eq=False)
class Limit:
    """A function on the way that limits a tensor.

    Attributes:
        node: of the graph.
        bounds: the lowest and the highest number that it lets through.
        each: channels there for each that the layer before gives.
        axis: that they lie along.
    """

    node: fx.Node
    bounds: tuple[float, float]
    each: int
    axis: int

    @property
    def numbers(self) -> int:
        """How many limits there are once every channel has its own."""
        channels: int = self.node.meta["shape"][self.axis]
        return channels * len(self.bounds)


def layers_of(graph: fx.GraphModule) -> dict[fx.Node, Layer]:
    """Every layer whose weight and bias nothing else reads, by its node."""
    readers, found = readers_of(graph), {}
    for node in graph.graph.nodes:
        parts = _parts(graph, node)
        if parts is None:
            continue
        weight, bias, groups = parts
        tensors = [one for one in (weight, bias) if one is not None]
        if all(one.is_floating_point() and readers[id(one)] == 1 for one in tensors):
            found[node] = Layer(node, weight, bias, groups)
    return found


def _parts(graph: fx.GraphModule, node: fx.Node) -> tuple[Tensor, Tensor | None, int] | None:
    """Weight, bias and groups of a layer."""
    if node.op == "call_module":
        module: Any = graph.get_submodule(str(node.target))
        hooked = module._forward_hooks or module._forward_pre_hooks
        if not isinstance(module, (*CONVOLUTIONS, nn.Linear)) or hooked:
            return None
        return module.weight, module.bias, getattr(module, "groups", 1)
    name = function_name(node) if is_function(node) else ""
    if name not in ("linear", "conv1d", "conv2d", "conv3d", "convolution"):
        return None
    weight, bias = argument(node, 1, "weight"), argument(node, 2, "bias")
    if name == "convolution" and argument(node, 6, "transposed"):
        return None
    if any(one is not None and one.op != "get_attr" for one in (weight, bias)):
        return None
    groups = 1 if name == "linear" else argument(node, 8 if name == "convolution" else 6, "groups", 1)
    tensors: list[Any] = [
        None if one is None else attrgetter(str(one.target))(graph) for one in (weight, bias)
    ]
    return tensors[0], tensors[1], groups


def follower(
    graph: fx.GraphModule,
    first: Layer,
    layers: Mapping[fx.Node, Layer],
    folded: Container[fx.Node] = (),
) -> tuple[Layer, int, tuple[Limit, ...]] | None:
    """The layer that alone reads another, channel by channel and half for half; None if there is none.

    Args:
        graph: a copy of a measured one.
        first: the other.
        layers: all of them.
        folded: batch norms that are as good as gone.

    Returns:
        it, how many channels it reads for each that the first gives, and what limits the tensor on the way.
    """
    node, each, shape = first.node, 1, tuple(first.node.meta.get("shape", ()))
    limits: list[Limit] = []
    linear = first.weight.ndim == 2
    if len(shape) < 2 or (not linear and len(shape) != first.weight.ndim):
        return None  # of a single example
    axis = len(shape) - 1 if linear else 1
    while True:
        readers = [user for user in node.users if reads_numbers(user, node)]
        if len(readers) != 1 or readers[0].op == "output":
            return None
        (user,) = readers
        if user in layers:
            second = layers[user]
            along = len(shape) - 1 if second.weight.ndim == 2 else 1
            fits = user.all_input_nodes[0] is node and along == axis
            return (second, each, tuple(limits)) if fits else None
        after = tuple(user.meta.get("shape", ()))
        bounds = _bounds(graph, user)
        if bounds is not None:
            limits.append(Limit(user, bounds, each, axis))
        elif _is_flat(graph, user, shape, after, axis):
            each *= math.prod(shape[2:])
            axis = 1
        elif user not in folded and not _is_alike(graph, user, shape, axis):
            return None
        node, shape = user, after


def _is_alike(graph: fx.GraphModule, node: fx.Node, shape: tuple[int, ...], axis: int) -> bool:
    """Whether a node does the same with every channel, and gives half for half; numbers >= 0 count."""
    pools = axis == 1 and len(shape) > 2
    if node.op == "call_module":
        module = graph.get_submodule(str(node.target))
        return isinstance(module, ALIKE) or (pools and isinstance(module, POOLS))
    name = function_name(node) if is_function(node) else ""
    if name == "mean" and pools:
        dims = argument(node, 1, "dim")
        several = [dims] if isinstance(dims, int) else dims or [0]
        return all(isinstance(one, int) and one % len(shape) > axis for one in several)
    return name in ALIKE_FUNCTIONS or (pools and name.rstrip("123d") in POOLING)


def _is_flat(
    graph: fx.GraphModule, node: fx.Node, shape: tuple[int, ...], after: tuple[int, ...], axis: int
) -> bool:
    """Whether a node lays the pixels of each channel side by side."""
    if node.op == "call_module":
        flattens = isinstance(graph.get_submodule(str(node.target)), nn.Flatten)
    else:
        flattens = is_function(node) and function_name(node) in FLATTENING
    return flattens and axis == 1 and after == (shape[0], math.prod(shape[1:]))


def _bounds(graph: fx.GraphModule, node: fx.Node) -> tuple[float, float] | None:
    """Between what a node limits its input."""
    if node.op == "call_module":
        module = graph.get_submodule(str(node.target))
        found: Any = (module.min_val, module.max_val) if isinstance(module, nn.Hardtanh) else None
    else:
        name = function_name(node) if is_function(node) else ""
        found = {
            "relu6": (0.0, 6.0),
            "hardtanh": (argument(node, 1, "min_val", -1.0), argument(node, 2, "max_val", 1.0)),
            "clamp": (argument(node, 1, "min"), argument(node, 2, "max")),
        }.get(name)
    if found is None or not all(one is None or isinstance(one, int | float) for one in found):
        return None
    low, high = found
    return -math.inf if low is None else float(low), math.inf if high is None else float(high)
