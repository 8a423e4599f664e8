"""From a torch module to the graph of its quantizers, by torch.fx.

The node rule that gives the paper's counts: one weight quantizer per conv or linear layer; one
activation quantizer per distinct tensor that a conv, a linear layer, an addition or an
``AdaptiveAvgPool2d`` module consumes. Pooling by function or maximum, dropout and changes of shape
are transparent: the tensor is the one before them. Conv, batch norm and ReLU fuse.
"""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from nemo_lab.errors import NemoWarning, TraceError
from nemo_lab.workload.operations import (
    ADDITIONS,
    BATCH_NORMS,
    CONVOLUTIONS,
    LAYERS,
    TRANSPARENT_FUNCTIONS,
    TRANSPARENT_MODULES,
)
from nemo_lab.workload.records import Layer, Node, Workload


@dataclass
class _Tensor:
    """An activation under construction."""

    fx_node: fx.Node
    consumers: list[str] = field(default_factory=list)
    macs: int = 0


class Tracer:
    """Reads one fx graph; ``trace`` is the way in."""

    def __init__(self, graph: fx.GraphModule) -> None:
        self.graph = graph
        self.modules = dict(graph.named_modules())

    def module_of(self, node: fx.Node) -> nn.Module | None:
        """The module a node calls, if it calls one."""
        return self.modules[str(node.target)] if node.op == "call_module" else None

    def is_layer(self, node: fx.Node) -> bool:
        """Whether the node has weights to quantize."""
        return isinstance(self.module_of(node), LAYERS)

    def is_addition(self, node: fx.Node) -> bool:
        """Whether the node adds two tensors."""
        called = node.op == "call_function" and node.target in ADDITIONS
        called |= node.op == "call_method" and node.target in ("add", "add_")
        return (
            called
            and all("shape" in n.meta for n in node.all_input_nodes)
            and (len(node.args) > 1 and all(isinstance(arg, fx.Node) for arg in node.args[:2]))
        )

    def is_transparent(self, node: fx.Node) -> bool:
        """Whether quantizing before the node serves as well as after it."""
        module = self.module_of(node)
        if module is not None:
            return isinstance(module, TRANSPARENT_MODULES)
        name = getattr(node.target, "__name__", str(node.target))
        return node.op in ("call_function", "call_method") and name in TRANSPARENT_FUNCTIONS

    def producer(self, node: fx.Node) -> fx.Node:
        """The node whose tensor is quantized when ``node`` is consumed."""
        while self.is_transparent(node):
            node = node.all_input_nodes[0]
        return node

    def consumed(self, node: fx.Node) -> list[fx.Node]:
        """The tensors that ``node`` needs quantized."""
        if self.is_layer(node) or isinstance(self.module_of(node), nn.AdaptiveAvgPool2d):
            return [self.producer(node.all_input_nodes[0])]
        if self.is_addition(node):
            return [self.producer(arg) for arg in node.args[:2] if isinstance(arg, fx.Node)]
        return []

    def op(self, node: fx.Node) -> str:
        """The operation type of a node, in the words of the field."""
        module = self.module_of(node)
        if isinstance(module, CONVOLUTIONS):
            return "depthwise conv" if _is_depthwise(module) else "conv"
        if isinstance(module, BATCH_NORMS):
            return "batch norm"
        if isinstance(module, nn.AdaptiveAvgPool2d):
            return "pool"
        if module is not None:
            return type(module).__name__.lower()
        if node.op == "placeholder":
            return "input"
        return "add" if self.is_addition(node) else str(getattr(node.target, "__name__", node.target))

    def macs(self, node: fx.Node) -> int:
        """Multiply-accumulates of one call of a layer for one example."""
        module = self.module_of(node)
        outputs = math.prod(_shape(node))
        if isinstance(module, nn.Linear):
            return outputs * module.in_features
        if isinstance(module, CONVOLUTIONS):
            return outputs * module.in_channels // module.groups * math.prod(module.kernel_size)
        return 0

    def run(self, name: str, original: nn.Module, example_shape: tuple[int, ...]) -> Workload:
        """Number the nodes in execution order and join them by the data flow."""
        tensors: dict[fx.Node, _Tensor] = {}
        calls: dict[str, list[fx.Node]] = {}
        for node in self.graph.graph.nodes:
            for producer in self.consumed(node):
                tensor = tensors.setdefault(producer, _Tensor(producer))
                tensor.macs += self.macs(node)
                if node.op == "call_module":
                    tensor.consumers.append(str(node.target))
            if self.is_layer(node):
                calls.setdefault(str(node.target), []).append(node)
        if not calls:
            raise TraceError(
                f"{name} has no conv or linear layer to quantize", "give a network that has some"
            )

        nodes: list[Node] = []
        index: dict[str, int] = {}
        for node in self.graph.graph.nodes:
            if self.is_layer(node) and f"{node.target}.weight" not in index:
                index[f"{node.target}.weight"] = len(nodes)  # the dot: fx names have none
                nodes.append(self._weight(len(nodes), calls[str(node.target)]))
            if node in tensors:
                index[node.name] = len(nodes)
                taken = {other.name for other in nodes}
                nodes.append(self._activation(len(nodes), tensors[node], taken))

        layers = tuple(
            Layer(
                name=target,
                weight=index[f"{target}.weight"],
                activation=index[self.consumed(call)[0].name],
                macs=self.macs(call),
                params=nodes[index[f"{target}.weight"]].params,
            )
            for target, same in calls.items()
            for call in same
        )
        return Workload(
            name=name,
            nodes=tuple(nodes),
            layers=layers,
            topology=self._topology(tensors, index),
            module=original,
            graph=self.graph,
            example_shape=example_shape,
        )

    def _weight(self, index: int, calls: list[fx.Node]) -> Node:
        target = str(calls[0].target)
        layer = self.modules[target]
        weight = layer._parameters.get("weight")
        if weight is None or isinstance(weight, nn.UninitializedParameter):
            raise TraceError(
                f"the weight of layer {target!r} is no plain parameter",
                "run lazy layers once, and remove parametrizations such as weight norm first",
            )
        source = self.producer(calls[0].all_input_nodes[0])
        spatial = _shape(source)[1:]
        linear = isinstance(layer, nn.Linear)
        return Node(
            index=index,
            name=f"{target}.weight",
            kind="weight",
            op=self.op(calls[0]),
            shape=tuple(weight.shape),
            in_channels=int(layer.in_features if linear else layer.in_channels),
            out_channels=int(weight.shape[0]),
            feature_size=int(layer.in_features) if linear else math.prod(spatial),
            kernel_size=math.prod(weight.shape[2:]),
            stride=1 if linear else int(layer.stride[0]),
            params=weight.numel(),
            macs=sum(self.macs(call) for call in calls),
            depthwise=_is_depthwise(layer),
            source=target,
        )

    def _activation(self, index: int, tensor: _Tensor, taken: set[str]) -> Node:
        node = tensor.fx_node
        # a parameter that is added has no batch axis
        shape = (node.meta["shape"] if node.op == "get_attr" else _shape(node)) or (1,)
        path = str(node.target) if node.op == "call_module" else node.name
        names = [*(f"{consumer}.input" for consumer in tensor.consumers), f"{path}.output"]
        free = [name for name in names if name not in taken] or [f"{node.name}.output"]
        return Node(
            index=index,
            name=free[0],
            kind="activation",
            op=self.op(node),
            shape=shape,
            in_channels=shape[0],
            out_channels=shape[0],
            feature_size=math.prod(shape[1:]),
            kernel_size=0,
            stride=0,
            params=0,
            macs=tensor.macs,
            depthwise=False,
            source=node.name,
            aliases=tuple(free[1:]),
        )

    def _topology(self, tensors: dict[fx.Node, _Tensor], index: dict[str, int]) -> Any:
        """Edges activation -> weight -> activation, and operand -> sum."""
        edges: set[tuple[int, int]] = set()
        for node in self.graph.graph.nodes:
            if self.is_layer(node):
                edges |= {(index[p.name], index[f"{node.target}.weight"]) for p in self.consumed(node)}
        for target in tensors:
            frontier = list(target.all_input_nodes) if not self.is_layer(target) else [target]
            seen: set[fx.Node] = set()
            while frontier:
                node = frontier.pop()
                if node in seen:
                    continue
                seen.add(node)
                if node in tensors and node is not target:
                    edges.add((index[node.name], index[target.name]))
                elif self.is_layer(node):
                    edges.add((index[f"{node.target}.weight"], index[target.name]))
                else:
                    frontier.extend(node.all_input_nodes)
        return np.asarray(sorted(edges), dtype=np.int64).reshape(-1, 2).T


class _Shapes(fx.Interpreter):
    """Runs a graph once and notes the shape of every tensor (torch's own pass imports sympy)."""

    def run_node(self, n: fx.Node) -> Any:
        """One node."""
        result = super().run_node(n)
        if isinstance(result, Tensor):
            n.meta["shape"] = tuple(result.shape)
        return result


def _shape(node: fx.Node) -> tuple[int, ...]:
    """The shape of a node's tensor for one example."""
    return tuple(node.meta["shape"][1:])


def _is_depthwise(module: nn.Module) -> bool:
    return isinstance(module, CONVOLUTIONS) and 1 < module.groups == module.in_channels


def trace(module: nn.Module, example_input: Any, *, name: str | None = None) -> Workload:
    """The quantizers of ``module`` and how they hang together.

    Args:
        module: a network that torch.fx can trace. It is not modified, its weights are not copied.
        example_input: Tensor[N, ...], one batch; only its shape matters.
        name: for tables and titles; the class name by default.

    Raises:
        TraceError: if ``module`` is not a torch module, cannot be traced or run on the example,
            or has no layer to quantize.

    Warns:
        NemoWarning: if the network has weights that no node stands for.
    """
    if not isinstance(module, nn.Module):
        raise TraceError(f"expected a torch.nn.Module, got {type(module).__name__}", "pass the network")
    if not isinstance(example_input, Tensor):
        raise TraceError(
            f"expected a tensor as example_input, got {type(example_input).__name__}",
            "pass one batch of inputs",
        )
    name = name or type(module).__name__
    training = {m: m.training for m in module.modules()}
    module.eval()
    try:
        graph = fx.symbolic_trace(module)
        with torch.no_grad():
            _Shapes(graph).run(example_input)
    except Exception as error:
        reason = re.sub(r"\s+", " ", str(error)).strip()
        raise TraceError(
            f"cannot trace {name}: {type(error).__name__}: {reason}",
            "torch.fx needs a forward without data-dependent control flow, and an input that fits",
        ) from error
    finally:
        for submodule, flag in training.items():
            submodule.training = flag
    workload = Tracer(graph).run(name, module, tuple(example_input.shape))
    left_out = _uncounted(workload)
    if left_out:
        warnings.warn(
            f"{name}: {len(left_out)} weights stay in full precision and count in no cost, since no conv or "
            f"linear layer that was traced owns them: {', '.join(left_out[:5])}",
            NemoWarning,
            stacklevel=2,
        )
    return workload


def _uncounted(workload: Workload) -> list[str]:
    """Names of the weights that neither a layer owns nor a node stands for."""
    sources = {node.source for node in workload.nodes}
    operands = {str(n.target) for n in workload.graph.graph.nodes if n.op == "get_attr" and n.name in sources}
    layers = {layer.name for layer in workload.layers}
    return [
        name
        for name, parameter in workload.module.named_parameters()
        if parameter.ndim > 1 and name.rpartition(".")[0] not in layers and name not in operands
    ]
