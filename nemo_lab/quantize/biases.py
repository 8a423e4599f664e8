"""Biases as integer kernels add them: int32, in units of the scale of the input times that of the weight."""

from __future__ import annotations

import copy
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from nemo_lab.quantize.activation_quantizer import ActivationQuantizer
from nemo_lab.quantize.affine import Affine
from nemo_lab.quantize.folding import free_name, paths_of, stored
from nemo_lab.quantize.observers import Ranges
from nemo_lab.quantize.weights import Weights
from nemo_lab.workload.arranged import readers_of
from nemo_lab.workload.nodes import argument, function_name, is_function
from nemo_lab.workload.operations import LAYERS, PRODUCTS, TRANSPARENT, TRANSPARENT_MODULES
from nemo_lab.workload.workload import Workload

LOWEST, HIGHEST = -(2.0**31), 2.0**31 - 128  # of int32, the highest that float32 holds
AVERAGES = {
    "adaptive_avg_pool2d",
    "avg_pool2d",
    "mean",
}  # transparent, but what they give is between integers
TURNS = {"permute", "t", "transpose"}  # of a weight on its way to its layer


@dataclass(frozen=True, eq=False)
class Bias:
    """The bias of one layer.

    Attributes:
        path: of the parameter, which only this layer reads.
        stored: the parameter.
        full: its numbers in full precision, float32[C].
        weight, input: the names of the quantizers whose scales it is in.
    """

    path: str
    stored: Tensor
    full: Tensor
    weight: str
    input: str

    def steps(self, x: Affine, weight: Sequence[Affine]) -> Tensor:
        """What it is counted in, float32[1] or float32[C].

        Args:
            x: of the layer's input.
            weight: one, or one for each output channel.
        """
        scales = torch.tensor([one.scale for one in weight], dtype=torch.float32, device=self.full.device)
        found = scales * torch.tensor(x.scale, dtype=torch.float32, device=self.full.device)
        return torch.where(found >= torch.finfo(torch.float32).tiny, found, 1.0)

    def rounded(self, steps: Tensor) -> Tensor:
        """The bias as whole numbers of steps, float32[C]."""
        return (self.full / steps).round_().clamp_(LOWEST, HIGHEST).mul_(steps)


class Biases:
    """The biases of all layers whose input and weight are both decisions.

    A bias that others read, too, is not rounded for them: the layer gets a copy of its own.

    Args:
        graph: with quantizers, changed in place.
        workload: of the graph.
        activations: name of each -> its quantizer.
        rounds: whether they are rounded at all.

    Attributes:
        found: each of them; none if they are not rounded.
        steps: of each as it is now what it is counted in, None where it is in full precision.
    """

    def __init__(
        self,
        graph: fx.GraphModule,
        workload: Workload,
        activations: Mapping[str, ActivationQuantizer],
        rounds: bool,
    ) -> None:
        self.graph = graph
        self._inputs = {module.path: name for name, module in activations.items()}
        weights = [q for node in workload.nodes for q in node.quantizers if q.kind == "weight"]
        self._weights = {path: q.name for q in weights for path in paths_of(graph, q.source)}
        self._rounded: dict[tuple[str, int, int], tuple[Tensor, Tensor]] = {}
        self.steps: dict[Bias, Tensor | None] = {}
        self.found = tuple(self._find()) if rounds else ()
        graph.recompile()

    def _find(self) -> Iterator[Bias]:
        readers = readers_of(self.graph)
        for node in list(self.graph.graph.nodes):
            for x, weight, bias, own in biased_layers(self.graph, node):
                source = _on_the_grid(self.graph, x)
                quantizer = self._inputs.get(str(source.target)) if source.op == "call_module" else None
                if quantizer is None or weight not in self._weights:
                    continue
                if stored(self.graph, bias).ndim != 1:
                    continue
                path = own() if readers[id(stored(self.graph, bias))] > 1 else bias
                tensor = stored(self.graph, path)
                yield Bias(path, tensor, tensor.data, self._weights[weight], quantizer)

    def update(
        self,
        widths: Mapping[str, int | None],
        ranges: Mapping[str, Ranges],
        weights: Weights,
        names: Container[str] | None = None,
    ) -> None:
        """Round biases to what the widths of their layers make of them; not at all where one has none.

        Args:
            widths: by the name of each quantizer; None in full precision.
            ranges: of the activations.
            weights: of all layers.
            names: of the quantizers whose width changed, if not all.
        """
        for bias in self.found:
            if names is not None and bias.input not in names and bias.weight not in names:
                continue
            x, weight = widths[bias.input], widths[bias.weight]
            if x is None or weight is None:
                bias.stored.data, self.steps[bias] = bias.full, None
                continue
            key = (bias.path, x, weight)
            if key not in self._rounded:
                steps = bias.steps(ranges[bias.input].quantizer(x), weights.quantizers(bias.weight, weight))
                self._rounded[key] = bias.rounded(steps), steps
            bias.stored.data, self.steps[bias] = self._rounded[key]

    def forget(self) -> None:
        """Ranges have changed."""
        self._rounded.clear()


def biased_layers(
    graph: fx.GraphModule, node: fx.Node
) -> Iterator[tuple[fx.Node, str, str, Callable[[], str]]]:
    """Input, paths of weight and bias, and what gives the node a bias of its own, and its path."""
    if node.op == "call_module":
        module = graph.get_submodule(str(node.target))
        if isinstance(module, LAYERS) and module.bias is not None:
            path = str(node.target)
            yield node.all_input_nodes[0], f"{path}.weight", f"{path}.bias", lambda: _own_module(graph, node)
    elif is_function(node) and (places := _places(function_name(node))) is not None:
        x, weight, bias = (argument(node, *place) for place in places)
        while isinstance(weight, fx.Node) and is_function(weight) and function_name(weight) in TURNS:
            weight = weight.all_input_nodes[0]
        read = all(isinstance(one, fx.Node) and one.op == "get_attr" for one in (weight, bias))
        if read and not {"alpha", "beta"} & node.kwargs.keys():
            yield x, str(weight.target), str(bias.target), lambda: _own_attribute(graph, node, bias)


def _places(name: str) -> tuple[tuple[int, str], ...] | None:
    """Position and keyword of input, weight and bias of a function; None where it adds none."""
    if name == "addmm":
        return (*PRODUCTS[name], (0, "input"))
    if name in PRODUCTS and name.startswith(("conv", "linear")):
        weight, x = PRODUCTS[name]
        return x, weight, (2, "bias")
    return None


def _on_the_grid(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    """Where the numbers of a tensor come from that is only seen otherwise, or the largest of some of them."""
    while True:
        if node.op == "call_module":
            module = graph.get_submodule(str(node.target))
            same = isinstance(module, TRANSPARENT_MODULES) and not isinstance(module, nn.AvgPool2d)
        else:
            same = is_function(node) and function_name(node) in TRANSPARENT - AVERAGES
        if not same or not node.all_input_nodes:
            return node
        node = node.all_input_nodes[0]


def _own_module(graph: fx.GraphModule, node: fx.Node) -> str:
    """Have a node call a copy of its module, with the same weight and a bias of its own."""
    module = copy.copy(graph.get_submodule(str(node.target)))
    module._parameters = {**module._parameters, "bias": _copied(module.bias)}
    path = free_name(graph, "layer")
    graph.add_submodule(path, module)
    node.target = path
    return f"{path}.bias"


def _own_attribute(graph: fx.GraphModule, node: fx.Node, bias: fx.Node) -> str:
    """Have a node read a copy of its bias."""
    path = free_name(graph, "bias")
    setattr(graph, path, _copied(stored(graph, str(bias.target))))
    with graph.graph.inserting_before(node):
        node.replace_input_with(bias, graph.graph.get_attr(path))
    return path


def _copied(bias: Any) -> nn.Parameter:
    return nn.Parameter(bias.data.clone(), requires_grad=False)
