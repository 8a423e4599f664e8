"""Cross-layer equalization: channels of consecutive layers get ranges alike; the network stays what it is.

Where a layer reads channel c of another through nothing but functions with f(x / s) = f(x) / s for s > 0,
such as ReLU, the first may give x_c / s_c and the second multiply it by s_c. With s_c = sqrt(r1_c / r2_c), of
the largest magnitudes of the weights that give and that read the channel, both become sqrt(r1_c r2_c): no
channel is lost beside others in the range of a whole tensor. Source: Nagel et al., Data-Free Quantization
Through Weight Equalization and Bias Correction, ICCV 2019, arXiv 1906.04721, section 4.1.

What limits a tensor on the way, such as ReLU6, gets limits of each channel, 6 / s_c, where that article has
ReLU. Transposed convolutions, PReLU and sums are left alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx

from nemo_lab.quantize.folding import free_name
from nemo_lab.workload.consecutive import HARMLESS, Follower, Layer, Limit, follower, layers_of

SWEEPS, CLOSE = 20, 0.01  # over all pairs; until no logarithm of a scale changes by more
DEAD = 1e-6  # of the largest magnitude in a layer: such a channel says nothing and is left alone
FAR = 1e3  # times the median: such a bias stands for something, as that of a channel that is switched off


@dataclass(eq=False)
class Pair:
    """A layer, and the one that alone reads it.

    Attributes:
        first, second: the layers.
        each: how many channels the second reads for each that the first gives.
        given, read: of both float64[groups, O / groups, I / groups]: the largest magnitudes between two
            channels; shared with other pairs, and changed.
        scales: float64[O]: by which the channels are divided.
    """

    first: Layer
    second: Layer
    each: int
    given: Tensor
    read: Tensor
    scales: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.scales = self.given.new_ones(len(self.first.weight))
        bias = self.first.bias
        self._bias = torch.zeros_like(self.scales) if bias is None else bias.detach().double().abs()
        some = self._bias[self._bias.isfinite() & (self._bias > 0)]
        self._usual = self._bias <= FAR * (some.median() if len(some) else 0.0)
        self._largest = self._bias[self._usual].max() if self._usual.any() else self._bias.new_zeros(())

    def balance(self) -> float:
        """Bring both ranges of each channel together; gives the largest change of a logarithm.

        No bias grows beyond the largest of its layer, since activations would grow with it.
        """
        gives, reads = self.given.amax(2).flatten(), self.read.amax(1).reshape(-1, self.each).amax(1)
        alive = (gives > DEAD * gives.max()) & (reads > DEAD * reads.max()) & self._usual
        by = torch.where(alive, (gives / reads).sqrt(), 1.0)
        tiny = torch.finfo(by.dtype).tiny
        grown = self._bias / self.scales / self._largest.clamp_min(tiny)
        by = torch.where(alive, torch.maximum(by, grown), 1.0)
        self.given /= by.reshape(self.first.groups, -1, 1)
        self.read *= by.repeat_interleave(self.each).reshape(self.second.groups, 1, -1)
        self.scales *= by
        return float(by.log().abs().max())


def equalize(graph: fx.GraphModule) -> dict[str, str]:
    """Equalize all consecutive layers of a graph, in place.

    Args:
        graph: a copy of a measured one, with its batch norms folded.

    Returns:
        the name of each function that limits -> that of what took its place.
    """
    layers = layers_of(graph)
    sizes = {layer: _sizes(layer) for layer in layers.values()}
    followed = [(layer, follower(graph, layer, layers)) for layer in layers.values()]
    found: list[tuple[Pair, Follower]] = [
        (Pair(layer, one.layer, one.each, sizes[layer], sizes[one.layer]), one)
        for layer, one in followed
        if one is not None
    ]
    for _ in range(SWEEPS):
        if max((pair.balance() for pair, _ in found), default=0.0) < CLOSE:
            break
    for pair, _ in found:
        first, second = pair.first, pair.second
        _scale(first, (1 / pair.scales).reshape(first.groups, -1, 1))
        if first.bias is not None:
            first.bias.data = (first.bias.data.double() / pair.scales).to(first.bias.dtype)
        _scale(second, pair.scales.repeat_interleave(pair.each).reshape(second.groups, 1, -1))
    called, limits = free_name(graph, "limit"), [(pair, limit) for pair, one in found for limit in one.limits]
    moved = {
        limit.node.name: _limited(graph, limit, pair.scales, f"{called}_{number}")
        for number, (pair, limit) in enumerate(limits)
    }
    graph.graph.lint()
    graph.recompile()
    return moved


def _sizes(layer: Layer) -> Tensor:
    weight = layer.weight
    largest = weight.detach().double().abs().reshape(*weight.shape[:2], -1).amax(2)
    return largest.reshape(layer.groups, -1, largest.shape[1])


def _scale(layer: Layer, by: Tensor) -> None:
    """Multiply a weight by factors that broadcast to [groups, O / groups, I / groups]."""
    weight = layer.weight
    shape = (layer.groups, len(weight) // layer.groups, weight.shape[1])
    factors = by.expand(shape).reshape(*weight.shape[:2], *[1] * (weight.ndim - 2))
    weight.data = (weight.data.double() * factors).to(weight.dtype)


def _limited(graph: fx.GraphModule, limit: Limit, scales: Tensor, called: str) -> str:
    """Put limits of each channel in the place of a node; gives the name of what does it."""
    node, shape = limit.node, [1] * len(limit.node.meta["shape"])
    shape[limit.axis] = -1
    by, made = scales.repeat_interleave(limit.each), node.all_input_nodes[0]

    def put(function: Any, *arguments: Any) -> fx.Node:
        found = graph.graph.call_function(function, (made, *arguments))
        found.meta = dict(node.meta)
        return found

    def of_each(side: str, bound: float) -> fx.Node:
        graph.register_buffer(f"{called}_{side}", (bound / by).float().reshape(shape))
        return graph.graph.get_attr(f"{called}_{side}")

    with graph.graph.inserting_before(node):
        if limit.high not in HARMLESS:
            made = put(torch.minimum, of_each("high", limit.high))
        elif limit.high == 0:
            made = put(torch.clamp, None, 0.0)
        if limit.low not in HARMLESS:
            made = put(torch.maximum, of_each("low", limit.low))
        elif limit.low == 0:
            made = put(torch.relu)  # at the end, where a quantizer absorbs it
    node.replace_all_uses_with(made)
    graph.graph.erase_node(node)
    return str(made.name)
