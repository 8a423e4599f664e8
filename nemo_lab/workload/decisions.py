"""From quantizers to bit-width decisions: nodes, the layers they meet in, and the data flow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import fx

from nemo_lab.workload.arranged import stored
from nemo_lab.workload.nodes import argument, label
from nemo_lab.workload.quantization_points import Quantizers, Source
from nemo_lab.workload.records import Layer, Node, Quantizer

CONSTANTS = {"zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full"}


def decisions(
    quantizers: Quantizers, left_out: Mapping[str, int], groups: Mapping[str, str]
) -> tuple[tuple[Node, ...], tuple[Layer, ...], NDArray[np.int64]]:
    """Number the decisions in execution order, and join them.

    Args:
        quantizers: of the graph.
        left_out: name of each tensor that is not quantized -> bits that it counts with.
        groups: name of a tied quantizer -> name of the first of its group.

    Returns:
        nodes, layers, and topology int64[2, E].
    """
    members: dict[str, list[tuple[Source, Quantizer]]] = {}
    for source, quantizer in zip(quantizers.sources, quantizers.all, strict=True):
        if quantizer.name not in left_out:
            first = groups.get(quantizer.name, quantizer.name)
            members.setdefault(first, []).append((source, quantizer))
    index = {id(source): i for i, group in enumerate(members.values()) for source, _ in group}
    nodes = tuple(_node(i, group, quantizers) for i, group in enumerate(members.values()))
    layers = []
    callers: dict[str, fx.Node] = {}
    for product in quantizers.products:
        left, right = (index.get(id(source)) for source in product.sources)
        if left is None and right is None:
            continue
        name, node = quantizers.label(product.node), product.node
        flowing = all(source.path is None for source in product.sources)
        if flowing and callers.setdefault(name, node) is not node:
            name = label(node)
        op, unquantized = quantizers.operations.op(node), quantizers.widths(product, left_out)
        layers.append(Layer(name, op, (left, right), product.macs, unquantized))
    return nodes, tuple(layers), _topology(quantizers, index)


def _node(index: int, group: list[tuple[Source, Quantizer]], quantizers: Quantizers) -> Node:
    source, quantizer = group[0]
    return Node(
        index=index,
        name=quantizer.name,
        kind=quantizer.kind,
        shape=quantizer.shape,
        params=sum(math.prod(q.shape) for _, q in group if q.kind == "weight"),
        macs=_macs([s for s, _ in group], quantizers),
        quantizers=tuple(q for _, q in group),
        aliases=(*quantizer.aliases, *(n for _, q in group[1:] for n in (q.name, *q.aliases))),
        **(_weight(source, quantizers) if source.path is not None else _activation(source, quantizers)),
    )


def _macs(sources: list[Source], quantizers: Quantizers) -> int:
    """Of every product that reads one of the sources, once."""
    members = {id(source) for source in sources}
    return sum(p.macs for p in quantizers.products if any(id(source) in members for source in p.sources))


def _activation(source: Source, quantizers: Quantizers) -> dict[str, Any]:
    shape = quantizers.shape(source.node)
    channels = shape[-1 if _channels_last(source, quantizers) else 0]
    return {
        "op": quantizers.operations.op(source.node),
        "in_channels": channels,
        "out_channels": channels,
        "feature_size": math.prod(shape) // max(channels, 1),
        "kernel_size": 0,
        "stride": 0,
        "depthwise": False,
    }


def _channels_last(source: Source, quantizers: Quantizers) -> bool:
    """Whether features are the last axis: what a linear layer or a matrix product reads as it is, or adds."""
    shape = source.node.meta["shape"]
    readers = [p for p in quantizers.products if any(end is source for end in p.sources)]
    if not readers:
        return len(quantizers.shape(source.node)) == 2
    return not any("conv" in quantizers.operations.op(p.node) for p in readers) and any(
        operand is not None and operand.meta["shape"] == shape
        for p in readers
        for operand in quantizers.operations.operands(p.node) or ()
    )


def _weight(source: Source, quantizers: Quantizers) -> dict[str, Any]:
    """General features of the layer that uses a weight first."""
    user, weight = source.node, tuple(quantizers.tensor(source).shape)
    op = quantizers.operations.op(user)
    operands = quantizers.operations.operands(user)
    if operands is None:  # a parameter that is added
        return {
            "op": "parameter",
            "in_channels": weight[-1],
            "out_channels": weight[-1],
            "feature_size": math.prod(weight[:-1]),
            "kernel_size": 0,
            "stride": 0,
            "depthwise": False,
        }
    if "conv" in op:
        channels, spatial = operands[1].meta["shape"][1], operands[1].meta["shape"][2:]
        module = quantizers.operations.module(user)
        stride: Any = argument(user, 3, "stride", 1) if module is None else module.stride
        return {
            "op": op,
            "in_channels": int(channels),
            "out_channels": int(user.meta["shape"][1]),
            "feature_size": math.prod(spatial),
            "kernel_size": math.prod(weight[2:] if operands[0] is None else operands[0].meta["shape"][2:]),
            "stride": int(stride[0] if isinstance(stride, list | tuple) else stride),
            "depthwise": op == "depthwise conv",
        }
    inputs, outputs = _contracted(source, user, quantizers)
    return {
        "op": op,
        "in_channels": inputs,
        "out_channels": outputs,
        "feature_size": inputs,
        "kernel_size": 1,
        "stride": 1,
        "depthwise": False,
    }


def _contracted(source: Source, user: fx.Node, quantizers: Quantizers) -> tuple[int, int]:
    """Input and output features of the weight of a linear layer or a matrix product."""
    operands = quantizers.operations.operands(user)
    shape = tuple(quantizers.tensor(source).shape)
    if operands is None or operands[0] is None or quantizers.operations.op(user) == "linear":
        return shape[-1], shape[0]
    for place, operand in enumerate(operands):
        if operand is not None and stored(operand) is not None:
            rows, columns = (1, *operand.meta["shape"])[-2:]
            return (columns, rows) if place == 0 else (rows, columns)
    return shape[-1], shape[0]


def _topology(quantizers: Quantizers, index: Mapping[int, int]) -> NDArray[np.int64]:
    """Edges activation -> weight -> activation, and operand -> sum: one pass in execution order."""
    flowing = {source.node: index.get(id(source)) for source in quantizers.sources if source.path is None}
    stored = {id(source): source for source in quantizers.sources if source.path is not None}
    products = {product.node: product for product in quantizers.products}
    reach: dict[fx.Node, set[int]] = {}
    edges: set[tuple[int, int]] = set()
    for node in quantizers.graph.graph.nodes:
        made = node.meta.get("flows") and quantizers.operations.function(node) not in CONSTANTS
        arriving = {i for before in node.all_input_nodes for i in reach[before]} if made else set()
        if node.op == "get_attr":
            arriving = quantizers.added(node, index)
        product = products.get(node)
        if product is not None:
            weights = {index[id(s)] for s in product.sources if id(s) in stored and id(s) in index}
            edges |= {(before, weight) for before in arriving - weights for weight in weights}
            arriving = weights or arriving
        own = flowing.get(node)
        if own is not None:
            edges |= {(before, own) for before in arriving - {own}}
            arriving = {own}
        reach[node] = arriving
    return np.asarray(sorted(edges), dtype=np.int64).reshape(-1, 2).T
