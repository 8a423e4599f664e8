"""Tensors that are stored: which nodes read them, and which other tensors hold their numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from operator import attrgetter
from typing import Any

from torch import Tensor, fx, nn

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


def tensors_read(graph: fx.GraphModule, node: fx.Node) -> list[Tensor]:
    """The stored tensors that a node reads."""
    found = holder(graph, node)
    if node.op == "get_attr":
        return [found] if isinstance(found, Tensor) else []  # and not a graph, or what is scripted
    return [] if found is None else [tensor for _, tensor in tensors_of(found)]


def tensors_held(graph: fx.GraphModule, node: fx.Node) -> list[Tensor]:
    """The same, and all tensors of a graph, or of something scripted, that it hands on."""
    found = holder(graph, node)
    return (
        [one for _, one in tensors_of(found)] if isinstance(found, nn.Module) else tensors_read(graph, node)
    )


def tensors_of(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers with their paths, each as often as it has one."""
    yield from module.named_parameters(remove_duplicate=False)
    yield from module.named_buffers(remove_duplicate=False)


def readers_of(graph: fx.GraphModule) -> Counter[int]:
    """The ``id`` of every stored tensor -> how many nodes read it."""
    return Counter(
        id(one)
        for node in graph.graph.nodes
        for one in tensors_read(graph, node)
        for _ in (node.users if node.op == "get_attr" else "1")  # torch.fx reads once for all of them
    )


def hooked(module: nn.Module) -> bool:
    """Whether somebody looks at, or changes, what goes into a module or comes out of it."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


def holder(graph: fx.GraphModule, node: fx.Node) -> Any:
    """The module that a node calls, or the attribute that it reads."""
    return attrgetter(str(node.target))(graph) if node.op in ("call_module", "get_attr") else None


def called(graph: fx.GraphModule, node: fx.Node, kinds: tuple[type[nn.Module], ...]) -> Any:
    """The module of one of these kinds that a node calls; None if it calls none."""
    module = holder(graph, node) if node.op == "call_module" else None
    return module if isinstance(module, kinds) else None
