"""Tensors that hold the numbers of another, which is the one that is stored and rounded."""

from __future__ import annotations

from torch import fx, nn

from nemo_lab.workload.operations import RESHAPING, argument, function_name, is_function, is_tensor
from nemo_lab.workload.written import THROUGH

LIKE = {"expand_as", "reshape_as", "to", "type_as", "view_as"}  # of the second operand no number is read
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


def is_read_off(node: fx.Node, batch: int) -> bool:
    """Whether a node says what a tensor is like, the same for every batch: its type, its place, a size.

    A size that equals that of the batch may be no other.
    """
    name = function_name(node) if is_function(node) else None
    if name in ("dtype", "device"):
        return True
    of = node.args[0] if node.args else None
    if name == "getitem" and isinstance(of, fx.Node) and is_function(of):
        of = (
            of.args[0]
            if function_name(of) == "shape" or (of.args[1:] == () and function_name(of) == "size")
            else None
        )
    elif name not in ("size", "sym_size"):
        return False
    axis = argument(node, 1, "dim")
    shape: tuple[int, ...] = of.meta.get("shape", ()) if isinstance(of, fx.Node) else ()
    return isinstance(axis, int) and len(shape) > 0 and axis % len(shape) != 0 and shape[axis] != batch


def read(node: fx.Node) -> list[fx.Node]:
    """The nodes whose numbers a node reads; of the second operand of a cast it reads the type."""
    if is_function(node) and function_name(node) in ("to", "type_as"):
        return node.all_input_nodes[:1]
    return node.all_input_nodes


def reads_numbers(node: fx.Node, of: fx.Node) -> bool:
    """Whether a node reads the numbers of another, and not only what they are like."""
    name = function_name(node) if is_function(node) else None
    if name in LIKE:
        return of in node.all_input_nodes[:1]
    return name not in ("shape", "size", "sym_size", "dtype", "device")
