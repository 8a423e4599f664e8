"""Regions of a network, such as the body of ``with torch.no_grad():``, which torch.export keeps apart."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx
from torch._ops import HigherOrderOperator
from torch.fx.node import map_aggregate

LESS_PRECISE = "less precise"  # in the meta of a graph: the type that autocast computes in, where it is on
HALVES = (torch.float16, torch.bfloat16)


def write_regions_in_line(graph: fx.GraphModule) -> None:
    """Put what a region computes in its place, regions inside of regions too.

    A region is a call of a higher-order operator that runs one graph on the operands behind it: whether
    gradients are kept, or which type autocast computes in, are such. What autocast computes in half
    precision is computed in single precision; ``graph.meta[LESS_PRECISE]`` is that type. What chooses or
    repeats a graph, such as ``torch.cond``, stays as it is.
    """
    for node in list(graph.graph.nodes):
        body = _body(graph, node)
        if body is None:
            continue
        region = _attribute(graph, body)
        write_regions_in_line(region)
        half = _autocast(node) or region.meta.get(LESS_PRECISE)
        _write_in_line(graph, node, body, in_single=half is not None)
        if half is not None:
            graph.meta[LESS_PRECISE] = half


def keep_output_types(graph: fx.GraphModule) -> None:
    """Give outputs in the types they had where they come out of a region of autocast."""
    if LESS_PRECISE not in graph.meta:
        return
    for node in list(graph.graph.nodes):
        checked = node.target is torch.ops.aten._assert_tensor_metadata.default
        if checked and node.kwargs.get("dtype") in HALVES:
            graph.graph.erase_node(node)
    output = graph.graph.output_node()
    with graph.graph.inserting_before(output):
        output.args = fx.node.map_arg(output.args, lambda node: _as_it_was(graph.graph, node))


def _as_it_was(graph: fx.Graph, node: fx.Node) -> fx.Node:
    kind = getattr(node.meta.get("val"), "dtype", None)
    return graph.call_function(torch.ops.aten.to.dtype, (node, kind)) if kind in HALVES else node


def _body(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    """What reads the graph that a region runs; None if the node is not a region."""
    if node.op != "call_function" or not isinstance(node.target, HigherOrderOperator):
        return None
    read = [one for one in node.all_input_nodes if one.op == "get_attr"]
    bodies = [one for one in read if isinstance(_attribute(graph, one), fx.GraphModule)]
    if len(bodies) != 1 or bodies[0] not in node.args:
        return None
    operands = node.args[node.args.index(bodies[0]) + 1 :]
    flat = not any(isinstance(operand, list | tuple | dict) for operand in operands)
    return bodies[0] if flat and len(operands) >= len(_inputs(_attribute(graph, bodies[0]))) else None


def _inputs(graph: fx.GraphModule) -> list[fx.Node]:
    return [node for node in graph.graph.nodes if node.op == "placeholder"]


def _attribute(graph: fx.GraphModule, node: fx.Node) -> Any:
    return operator.attrgetter(str(node.target))(graph)


def _autocast(node: fx.Node) -> torch.dtype | None:
    """The type that a region is computed in, if it is an autocast that is on."""
    if getattr(node.target, "__name__", "") != "wrap_with_autocast":
        return None
    _, kind, enabled, *_ = node.args
    return kind if enabled and kind in HALVES else None  # type: ignore[return-value]


def _write_in_line(graph: fx.GraphModule, node: fx.Node, body: fx.Node, *, in_single: bool) -> None:
    path, region = str(body.target), _attribute(graph, body)
    inputs = _inputs(region)
    operands = node.args[len(node.args) - len(inputs) :]
    values: dict[fx.Node, Any] = dict(zip(inputs, operands, strict=True))
    with graph.graph.inserting_before(node):
        outputs: Any = graph.graph.graph_copy(region.graph, values)
    written = [values[inner] for inner in region.graph.nodes if inner in values and inner not in inputs]
    for inner in written:
        if inner.op in ("get_attr", "call_module"):
            inner.target = f"{path}.{inner.target}"
        if in_single:
            inner.args, inner.kwargs = map_aggregate((inner.args, inner.kwargs), _single)
    for user in list(node.users):
        user.replace_all_uses_with(outputs[user.args[1]])
        graph.graph.erase_node(user)
    graph.graph.erase_node(node)
    if not body.users:
        graph.graph.erase_node(body)
    if not any(one.op == "get_attr" and one.target.startswith(f"{path}.") for one in graph.graph.nodes):
        graph.delete_submodule(path)


def _single(argument: Any) -> Any:
    return torch.float32 if argument in HALVES else argument
