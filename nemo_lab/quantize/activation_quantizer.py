"""Activation quantizers: where they go in a graph, and what they do there."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from nemo_lab.quantize.affine import Affine, Codes, dense_copy, round_, round_and_keep_, rounded
from nemo_lab.quantize.folding import free_name
from nemo_lab.workload.nodes import function_name, is_function
from nemo_lab.workload.operations import BATCH_NORMS, LAYERS, PRODUCTS
from nemo_lab.workload.workload import Workload
from nemo_lab.workload.written import THROUGH, changes_in_place

FRESH = (
    *LAYERS, *BATCH_NORMS, nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish, nn.GELU, nn.LayerNorm,
    nn.AdaptiveAvgPool2d,
)  # fmt: skip
FRESH_FUNCTIONS = {
    *PRODUCTS,
    "add",
    "cat",
    "clamp",
    "gelu",
    "layer_norm",
    "maximum",
    "minimum",
    "mul",
    "relu",
    "relu6",
    "silu",
    "softmax",
    "_safe_softmax",
}
VIEWS = {"flatten", "permute", "reshape", "squeeze", "transpose", "unflatten", "unsqueeze", "view"}
CLAMPS: dict[Any, tuple[float, float]] = {
    nn.ReLU: (0.0, math.inf),
    nn.ReLU6: (0.0, 6.0),
    "relu": (0.0, math.inf),
    "relu6": (0.0, 6.0),
}


class ActivationQuantizer(nn.Module):
    """A place in the network where a tensor is observed or rounded.

    A ReLU or ReLU6 before it is absorbed: rounding is monotone, so clamping the integers gives the very
    same numbers in the pass that is needed anyway.

    Args:
        path: what it is called in the graph.
        in_place: whether the tensor is nobody else's.
        floor, ceiling: of the activation function that was absorbed.
    """

    def __init__(self, path: str, in_place: bool, floor: float, ceiling: float) -> None:
        super().__init__()
        self.path, self.in_place, self.floor, self.ceiling = path, in_place, floor, ceiling
        self.quantizer: Affine | None = None
        self.observe: Callable[[Tensor], None] | None = None
        self.keep = False
        self.codes: Codes | None = None

    def set(self, quantizer: Affine | None) -> None:
        """Round by ``quantizer``, or not at all on None."""
        if quantizer is not None:
            scale, low, high = quantizer
            floor, ceiling = (
                float(np.rint(np.float32(x) / np.float32(scale))) for x in (self.floor, self.ceiling)
            )
            quantizer = Affine(scale, max(low, floor), min(high, ceiling))
        self.quantizer = quantizer

    def forward(self, x: Tensor) -> Tensor:
        """The tensor, rounded if a quantizer is set."""
        if self.quantizer is not None:
            if self.keep:
                x = x if self.in_place else dense_copy(x)
                self.codes = round_and_keep_(x, self.quantizer)
                return x
            return round_(x, self.quantizer) if self.in_place else rounded(x, self.quantizer)
        if (self.floor, self.ceiling) != (-math.inf, math.inf):
            x = torch.clamp(x, self.floor, self.ceiling, out=x if self.in_place else None)
        if self.observe is not None:
            self.observe(x)
        return x


def insert_quantizers(
    graph: fx.GraphModule, workload: Workload, moved: Mapping[str, str]
) -> tuple[dict[str, ActivationQuantizer], dict[str, int]]:
    """Put a quantizer behind every tensor that is one of the workload's decisions, in place.

    Args:
        graph: a copy of the workload's.
        workload: says where.
        moved: the fx name of each node that is gone, as a folded batch norm is -> that of what does its work.

    Returns:
        the name of each activation -> its quantizer, and the path of each quantizer -> its column of bits.
    """
    by_name = {node.name: node for node in graph.graph.nodes}
    quantizers: dict[str, ActivationQuantizer] = {}
    columns: dict[str, int] = {}
    called = free_name(graph, "quantizer")
    for node in workload.nodes:
        for place in (q for q in node.quantizers if q.kind == "activation"):
            producer = by_name[moved.get(place.source, place.source)]
            path = f"{called}_{len(quantizers)}"
            quantizers[place.name] = _insert(graph, producer, path)
            columns[path] = node.index
    graph.graph.lint()
    graph.recompile()
    return quantizers, columns


def _insert(graph: fx.GraphModule, producer: fx.Node, path: str) -> ActivationQuantizer:
    clamp = _clamp(graph, producer)
    reads = producer if clamp is None else producer.all_input_nodes[0]
    alone = clamp is None or len(reads.users) == 1
    kept = {user for user in producer.users if _is_written_to(producer, user)}
    in_place = alone and not kept and _is_fresh(graph, reads)
    if clamp is None and not kept and not in_place:
        reads = producer = _as_read(producer)
    quantizer = ActivationQuantizer(path, in_place, *(clamp or (-math.inf, math.inf)))
    graph.add_submodule(path, quantizer)
    with graph.graph.inserting_after(producer):
        inserted = graph.graph.call_module(path, (reads,))
    producer.replace_all_uses_with(
        inserted, delete_user_cb=lambda user: user is not inserted and user not in kept
    )
    if clamp is not None and not kept:
        graph.graph.erase_node(producer)
    return quantizer


def _as_read(tensor: fx.Node) -> fx.Node:
    """A tensor behind the views through which alone it is read: its copy then lies as the reader wants it."""
    while len(tensor.users) == 1:
        (user,) = tensor.users
        if not (is_function(user) and function_name(user) in VIEWS):
            break
        tensor = user
    return tensor


def _is_written_to(tensor: fx.Node, user: fx.Node) -> bool:
    """Whether a node writes into a tensor of several names, or reads it after: not a rounded copy."""
    return bool(user.meta.get(THROUGH)) and user.all_input_nodes[:1] == [tensor]


def _clamp(graph: fx.GraphModule, node: fx.Node) -> tuple[float, float] | None:
    """The bounds of an activation function that a quantizer behind it can absorb."""
    if node.op == "call_module":
        found = CLAMPS.get(type(graph.get_submodule(str(node.target))))
    else:
        found = CLAMPS.get(function_name(node)) if is_function(node) else None
    if found is None or not changes_in_place(graph, node):
        return found
    changed = node.all_input_nodes[0]  # which nobody else may see
    return found if len(changed.users) == 1 and _is_fresh(graph, changed) else None


def _is_fresh(graph: fx.GraphModule, producer: fx.Node) -> bool:
    """Whether the tensor is nobody else's storage; what works in place is as fresh as its input."""
    if changes_in_place(graph, producer):
        return _is_fresh(graph, producer.all_input_nodes[0])
    if producer.op == "call_module":
        return isinstance(graph.get_submodule(str(producer.target)), FRESH)
    return is_function(producer) and function_name(producer) in FRESH_FUNCTIONS
