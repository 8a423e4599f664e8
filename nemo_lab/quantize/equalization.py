"""Cross-layer equalization: channels of consecutive layers get ranges alike; the network stays what it is.

Where a layer reads channel c of another through nothing but functions with f(x / s) = f(x) / s for s > 0,
such as ReLU, the first may give x_c / s_c and the second multiply it by s_c. With s_c = sqrt(r1_c / r2_c), of
the largest magnitudes of the weights that give and that read the channel, both become sqrt(r1_c r2_c): no
channel is lost beside others in the range of a whole tensor. Source: Nagel et al., Data-Free Quantization
Through Weight Equalization and Bias Correction, ICCV 2019, arXiv 1906.04721, section 4.1.

A function that limits, such as ReLU6, gets limits of each channel, 6 / s_c, where that article has ReLU.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, fx

from nemo_lab.quantize.folding import free_name
from nemo_lab.workload.consecutive import Layer, Limit, follower, layers_of

SWEEPS, CLOSE = 20, 0.01  # over all pairs; until no logarithm of a scale changes by more
DEAD = 1e-6  # of the largest magnitude in a layer: such a channel says nothing and is left alone


@dataclass(eq=False)
class Pair:
    """A layer, and the one that alone reads it.

    Attributes:
        first, second: the layers.
        each: how many channels the second reads for each that the first gives: pixels, once flattened.
        limits: what limits the tensor on the way.
        scales: float64[O]: by which the channels are divided.
    """

    first: Layer
    second: Layer
    each: int
    limits: tuple[Limit, ...]
    scales: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.scales = self.first.sizes.new_ones(len(self.first.weight))
        bias = self.first.bias
        self._bias = torch.zeros_like(self.scales) if bias is None else bias.detach().double().abs()

    def balance(self) -> float:
        """Bring both ranges of each channel together; gives the largest change of a logarithm.

        No bias grows beyond the largest of its layer, since activations would grow with it.
        """
        given, read = self.first.sizes.amax(2).flatten(), self.second.sizes.amax(1).reshape(-1, self.each)
        most = read.amax(1)
        alive = (given > DEAD * given.max()) & (most > DEAD * most.max())
        by = torch.where(alive, (given / most).sqrt(), 1.0)
        grown = self._bias / self.scales / self._bias.max().clamp_min(torch.finfo(by.dtype).tiny)
        by = torch.where(alive, torch.maximum(by, grown), 1.0)
        self.first.sizes /= by.reshape(self.first.groups, -1, 1)
        self.second.sizes *= by.repeat_interleave(self.each).reshape(self.second.groups, 1, -1)
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
    followed = [(layer, follower(graph, layer, layers)) for layer in layers.values()]
    pairs = [Pair(layer, *found) for layer, found in followed if found is not None]
    for _ in range(SWEEPS):
        if max((pair.balance() for pair in pairs), default=0.0) < CLOSE:
            break
    for pair in pairs:
        pair.first.scale_given(1 / pair.scales)
        pair.second.scale_read(pair.scales.repeat_interleave(pair.each))
    called, limits = free_name(graph, "limit"), [(pair, one) for pair in pairs for one in pair.limits]
    renamed = {
        limit.node.name: _limited(graph, limit, pair.scales, f"{called}_{number}")
        for number, (pair, limit) in enumerate(limits)
    }
    graph.graph.lint()
    graph.recompile()
    return renamed


def _limited(graph: fx.GraphModule, limit: Limit, scales: Tensor, called: str) -> str:
    """Put limits of each channel in the place of a node; gives the name of what does it."""
    node, shape = limit.node, [1] * len(limit.node.meta["shape"])
    shape[limit.axis] = -1
    by = scales.repeat_interleave(limit.each)
    with graph.graph.inserting_before(node):
        bounds = []
        for side, bound in zip(("low", "high"), limit.bounds, strict=True):
            path = f"{called}_{side}"
            graph.register_buffer(path, (bound / by).float().reshape(shape))
            bounds.append(graph.graph.get_attr(path))
        made = graph.graph.call_function(torch.clamp, (node.all_input_nodes[0], *bounds))
    made.meta = dict(node.meta)
    node.replace_all_uses_with(made)
    graph.graph.erase_node(node)
    return str(made.name)
