"""What any node of a traced graph says of itself: its function, its arguments, its name."""

from __future__ import annotations

import operator
import re
from typing import Any

import torch
from torch import fx

OF_TORCH = ("aten", "prims")  # namespaces whose operations are those of the same name in Python
RESHAPING = {  # the same numbers in another shape
    "alias", "clone", "contiguous", "detach", "dropout", "expand", "flatten", "permute", "reshape", "squeeze",
    "transpose", "unflatten", "unsqueeze", "view", "view_as",
}  # fmt: skip
LIKE = {"expand_as", "reshape_as", "to", "type_as", "view_as"}  # of the second operand no number is read


def function_name(node: fx.Node) -> str:
    """What a call is called, whichever way it was traced: ``"add"`` for ``+=`` and ``aten.add_.Tensor``.

    Somebody's own operation keeps its whole name, such as ``"mine::add"``: nobody knows what it does.
    """
    target: Any = node.target
    name: str
    if isinstance(target, torch._ops.OpOverload | torch._ops.OpOverloadPacket):
        packet: Any = getattr(target, "_overloadpacket", target)
        space, _, name = packet._qualified_op_name.partition("::")
        name = name if space in OF_TORCH else packet._qualified_op_name
    elif target is operator.iadd:
        name = "add"
    elif target is getattr:
        name = str(node.args[1])
    else:
        name = getattr(target, "__name__", str(target))
    return name.rstrip("_") if not name.startswith("__") else name.strip("_")


def is_function(node: fx.Node) -> bool:
    """Whether the node calls a function or a method of a tensor."""
    return node.op in ("call_function", "call_method")


def argument(node: fx.Node, position: int, keyword: str, default: Any = None) -> Any:
    """An argument of a call, however it was passed."""
    return node.args[position] if len(node.args) > position else node.kwargs.get(keyword, default)


def is_tensor(value: Any) -> bool:
    """Whether an argument is a tensor of real numbers, as measured."""
    return isinstance(value, fx.Node) and bool(getattr(value.meta.get("dtype"), "is_floating_point", False))


def label(node: fx.Node) -> str:
    """A name for a node: the module it calls, or the function inside its module."""
    if node.op in ("call_module", "get_attr"):
        return str(node.target)
    stack = list(node.meta.get("nn_module_stack", {}).values())
    path = re.sub(r"@\d+", "", stack[-1][0]) if stack else ""
    return f"{path}.{node.name}" if path else node.name


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
