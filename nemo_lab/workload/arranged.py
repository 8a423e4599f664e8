"""Tensors that hold the numbers of another, which is the one that is stored and rounded."""

from __future__ import annotations

from torch import fx

from nemo_lab.workload.operations import RESHAPING, function_name, is_function
from nemo_lab.workload.written import THROUGH

CASTS = {"_to_copy", "bfloat16", "double", "float", "half", "to", "type", "type_as"}
ARRANGING = {  # some of the same numbers, each as often and in whatever order and precision
    *RESHAPING, *CASTS, "T", "chunk", "diagonal", "expand_as", "flip", "getitem", "index", "index_select",
    "mT", "moveaxis", "movedim", "narrow", "ravel", "repeat", "repeat_interleave", "reshape_as", "roll",
    "rot90", "select", "slice", "split", "split_with_sizes", "swapaxes", "swapdims", "t", "tensor_split",
    "tile", "unbind",
}  # fmt: skip


def arrangement(node: fx.Node) -> tuple[fx.Node, list[fx.Node]]:
    """The node whose numbers a tensor holds, and the operations between them, in execution order."""
    between: list[fx.Node] = []
    while (
        is_function(node)
        and function_name(node) in ARRANGING
        and node.all_input_nodes
        and not (node.meta.get("random") or node.meta.get(THROUGH))
    ):
        between.append(node)
        node = node.all_input_nodes[0]
    return node, between[::-1]


def stored(node: fx.Node) -> fx.Node | None:
    """The parameter or buffer whose numbers a tensor holds; None if it holds others."""
    found, _ = arrangement(node)
    return found if found.op == "get_attr" else None
