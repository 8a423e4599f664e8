"""Tensors that hold the numbers of another, which is the one that is stored and rounded."""

from __future__ import annotations

from torch import fx, nn

from nemo_lab.workload.nodes import RESHAPING, argument, function_name, is_function, is_tensor
from nemo_lab.workload.written import THROUGH

PASSING = (nn.Identity, nn.modules.dropout._DropoutNd)  # modules
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
    while _passes(node) or (is_function(node) and function_name(node) in ARRANGING):
        given = argument(node, 0, "input", node.kwargs.get("self"))
        if not isinstance(given, fx.Node) or node.meta.get("random") or node.meta.get(THROUGH):
            break
        if is_function(node):
            if function_name(node) in CASTS and not is_tensor(given):
                break  # whole numbers, or truth values: it is computed from them
            between.append(node)
        node = given
    return node, between[::-1]


def _passes(node: fx.Node) -> bool:
    """Whether a node calls a module that gives what it is given, as dropout does in evaluation."""
    owner = node.graph.owning_module
    return (
        node.op == "call_module"
        and owner is not None
        and isinstance(owner.get_submodule(str(node.target)), PASSING)
    )


def stored(node: fx.Node) -> fx.Node | None:
    """The parameter or buffer whose numbers a tensor holds; None if it holds others."""
    found, _ = arrangement(node)
    return found if found.op == "get_attr" else None
