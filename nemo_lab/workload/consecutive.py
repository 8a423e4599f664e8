"""Layers that follow each other: which alone reads another, channel by channel, and through what."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from torch import Tensor, fx, nn

from nemo_lab.workload.arranged import hooked, readers_of
from nemo_lab.workload.nodes import argument, function_name, is_function, reads_numbers
from nemo_lab.workload.operations import CONVOLUTIONS

ALIKE = (nn.ReLU, nn.LeakyReLU, nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
POOLS = {  # of so many axes behind that of the channels
    nn.MaxPool1d: 1, nn.AvgPool1d: 1, nn.AdaptiveAvgPool1d: 1,
    nn.MaxPool2d: 2, nn.AvgPool2d: 2, nn.AdaptiveAvgPool2d: 2,
    nn.MaxPool3d: 3, nn.AvgPool3d: 3, nn.AdaptiveAvgPool3d: 3,
}  # fmt: skip
ALIKE_FUNCTIONS = {"relu", "leaky_relu", "dropout", "feature_dropout", "contiguous", "clone", "detach"}
POOLING = {"max_pool", "_max_pool", "avg_pool", "adaptive_avg_pool", "_adaptive_avg_pool"}
FLATTENING = {"flatten", "reshape", "view", "squeeze"}
HARMLESS = (0.0, -math.inf, math.inf)  # limits that stay what they are, whatever the scale


@dataclass(frozen=True, eq=False)
class Layer:
    """A convolution or a product by a weight, which nothing else reads.

    Attributes:
        node: of the graph.
        weight: [O, I / groups, ...].
        bias: [O], or None.
        groups: of a convolution.
    """

    node: fx.Node
    weight: Tensor
    bias: Tensor | None
    groups: int


@dataclass(frozen=True, eq=False)
class Limit:
    """A function on the way that limits a tensor.

    Attributes:
        node: of the graph.
        low, high: the lowest and the highest number that it lets through.
        each: channels there for each that the layer before gives.
        axis: that they lie along.
    """

    node: fx.Node
    low: float
    high: float
    each: int
    axis: int

    @property
    def numbers(self) -> int:
        """How many limits are stored once every channel has its own."""
        channels: int = self.node.meta["shape"][self.axis]
        return channels * sum(bound not in HARMLESS for bound in (self.low, self.high))


@dataclass(frozen=True, eq=False)
class Follower:
    """The layer that alone reads another.

    Attributes:
        layer: it.
        each: how many channels it reads for each that the other gives: pixels, once flattened.
        limits: what limits the tensor on the way.
    """

    layer: Layer
    each: int
    limits: tuple[Limit, ...]


def layers_of(graph: fx.GraphModule, folded: Collection[fx.Node] = ()) -> dict[fx.Node, Layer]:
    """Every layer whose weight and bias nothing else reads, by its node.

    Args:
        graph: of a network.
        folded: convolutions that take in a batch norm, and have a bias of their own then.
    """
    readers, found = readers_of(graph), {}
    for node in graph.graph.nodes:
        parts = _parts(graph, node)
        if parts is None:
            continue
        weight, bias, groups = parts
        own = [weight] if bias is None or node in folded else [weight, bias]
        fits = weight.ndim >= 2 and (bias is None or tuple(bias.shape) == (len(weight),))
        if fits and all(one.is_floating_point() and readers[id(one)] == 1 for one in own):
            found[node] = Layer(node, weight, bias, groups)
    return found


def _parts(graph: fx.GraphModule, node: fx.Node) -> tuple[Tensor, Tensor | None, int] | None:
    """Weight, bias and groups of a layer."""
    if node.op == "call_module":
        module: Any = graph.get_submodule(str(node.target))
        if not isinstance(module, (*CONVOLUTIONS, nn.Linear)) or hooked(module):
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
    stored: list[Any] = [
        None if one is None else attrgetter(str(one.target))(graph) for one in (weight, bias)
    ]
    return stored[0], stored[1], groups


def follower(
    graph: fx.GraphModule,
    first: Layer,
    layers: Mapping[fx.Node, Layer],
    folded: Collection[fx.Node] = (),
) -> Follower | None:
    """The layer that alone reads another, channel by channel and half for half; None if there is none.

    Args:
        graph: a copy of a measured one.
        first: the other.
        layers: all of them.
        folded: batch norms that are as good as gone.
    """
    node, each, limits = first.node, 1, list[Limit]()
    shape = tuple(node.meta.get("shape", ()))
    if not _is_batch(first, shape):
        return None
    axis = _axis(first, shape)
    while True:
        readers = [user for user in node.users if reads_numbers(user, node)]
        if len(readers) != 1 or readers[0].op == "output":
            return None
        (user,) = readers
        if user in layers:
            second = layers[user]
            fits = user.all_input_nodes[0] is node and _is_batch(second, shape)
            fits = fits and _axis(second, shape) == axis
            read = second.groups * second.weight.shape[1]
            fits = fits and read == each * len(first.weight)
            return Follower(second, each, tuple(limits)) if fits else None
        after, bounds = tuple(user.meta.get("shape", ())), _bounds(graph, user)
        if user.op == "call_module" and user not in folded and hooked(graph.get_submodule(str(user.target))):
            return None
        if bounds is not None:
            if not set(bounds) <= set(HARMLESS):
                limits.append(Limit(user, *bounds, each, axis))
        elif _is_flat(graph, user, shape, after, axis):
            each *= math.prod(shape[2:])
        elif user not in folded and not _is_alike(graph, user, shape, axis):
            return None
        node, shape = user, after


def _is_batch(layer: Layer, shape: tuple[int, ...]) -> bool:
    """Whether a tensor of a layer holds several examples."""
    return len(shape) >= 2 if layer.weight.ndim == 2 else len(shape) == layer.weight.ndim


def _axis(layer: Layer, shape: tuple[int, ...]) -> int:
    """Along which the channels of a layer lie."""
    return len(shape) - 1 if layer.weight.ndim == 2 else 1


def _is_alike(graph: fx.GraphModule, node: fx.Node, shape: tuple[int, ...], axis: int) -> bool:
    """Whether a node does the same with every channel, and gives half for half; numbers >= 0 count."""
    behind = len(shape) - 2 if axis == 1 else 0
    if node.op == "call_module":
        module = graph.get_submodule(str(node.target))
        return isinstance(module, ALIKE) or (behind > 0 and POOLS.get(type(module)) == behind)
    name = function_name(node) if is_function(node) else ""
    if name == "mean" and behind > 0:
        dims = argument(node, 1, "dim")
        several = [dims] if isinstance(dims, int) else dims or [0]
        return all(isinstance(one, int) and one % len(shape) > axis for one in several)
    pools = behind > 0 and name in {f"{one}{behind}d" for one in POOLING}
    return name in ALIKE_FUNCTIONS or pools


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
