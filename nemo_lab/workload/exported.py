"""The second way to a graph: torch.export, with the modules people know put back in."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from nemo_lab._quiet import importing, no_logging, no_warnings
from nemo_lab.workload.regions import keep_output_types, write_regions_in_line
from nemo_lab.workload.shapes_and_macs import copied

Plain = dict[str, nn.Module]


def export(module: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[fx.GraphModule, Plain]:
    """``module`` as torch.export sees it on this input, sharing its weights.

    The first axis of every tensor is exported for any size, if the network permits it.

    Returns:
        the graph, and the modules of ``torch.nn`` in it that were called with one tensor and nothing else.

    Raises:
        Exception: whatever torch.export raises.
    """
    with importing(), no_warnings(), no_logging("torch"), _no_printing(), _noting_calls(module) as plain:
        try:
            program = _export(module, args, kwargs, any_batch=True)
        except Exception:  # a batch size that is built in
            program = _export(module, args, kwargs, any_batch=False)
        graph = program.module()
    if not isinstance(graph, fx.GraphModule):
        raise TypeError(f"torch.export gave a {type(graph).__name__}")
    return graph, plain


def written_as_known(graph: fx.GraphModule, plain: Plain) -> None:
    """Write regions in line, and calls of modules that became one operation as calls of the module again.

    Args:
        graph: exported; it is changed.
        plain: modules that may be called with one tensor, by path.
    """
    write_regions_in_line(graph)
    _put_modules_back(graph, plain)
    keep_output_types(graph)
    graph.graph.lint()
    graph.recompile()


@contextmanager
def _noting_calls(module: nn.Module) -> Iterator[Plain]:
    """The modules of torch.nn by path; gone are those that are called with anything besides one tensor."""
    plain = {
        path: part
        for path, part in module.named_modules()
        if path and type(part).__module__.startswith("torch.nn.")
    }
    paths = {part: path for path, part in plain.items()}

    def note(part: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if kwargs or len(args) != 1 or not isinstance(args[0], Tensor):
            plain.pop(paths[part], None)

    hooks = [
        part.register_forward_pre_hook(note, with_kwargs=True)
        for part in plain.values()
        if not any(part.children())
    ]
    try:
        yield plain
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _no_printing() -> Iterator[None]:
    """Keep torch.export from printing a whole graph when it fails; what matters is in the error."""
    printing: Any = importlib.import_module("torch.export._trace")
    printing.print = _nothing
    try:
        yield
    finally:
        del printing.print


def _nothing(*args: Any, **kwargs: Any) -> None:
    """In place of ``print``."""


def _export(module: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any], any_batch: bool) -> Any:
    args, kwargs = copied(args, kwargs)
    shapes: Any = None
    if any_batch:  # torch.export holds an axis of size 1 for a constant
        args, kwargs = pytree.tree_map_only(Tensor, _doubled, (args, kwargs))
        bound = inspect.signature(module.forward).bind(*args, **kwargs).arguments
        shapes = pytree.tree_map(_any_first_axis, dict(bound))
    with torch.no_grad():
        return torch.export.export(module, tuple(args), kwargs, dynamic_shapes=shapes, strict=False)


def _doubled(tensor: Tensor) -> Tensor:
    return torch.cat([tensor, tensor]) if tensor.ndim and tensor.shape[0] == 1 else tensor


def _any_first_axis(value: Any) -> Any:
    return {0: torch.export.Dim.AUTO} if isinstance(value, Tensor) and value.ndim else None


def _put_modules_back(graph: fx.GraphModule, plain: Plain) -> None:
    """Where a module of torch.nn became one operation on one tensor, call the module instead."""
    calls: dict[str, list[fx.Node]] = {}
    for node in list(graph.graph.nodes):
        stack = node.meta.get("nn_module_stack")
        if node.op == "call_function" and stack:
            calls.setdefault(list(stack.values())[-1][0], []).append(node)
    for call, nodes in calls.items():
        path = re.sub(r"@\d+", "", call)
        inputs = [n for n in nodes[0].all_input_nodes if n.op != "get_attr"]
        if len(nodes) != 1 or path not in plain or len(inputs) != 1:
            continue
        graph.add_submodule(path, plain[path])
        with graph.graph.inserting_before(nodes[0]):
            restored = graph.graph.call_module(path, (inputs[0],))
        restored.meta = dict(nodes[0].meta)
        nodes[0].replace_all_uses_with(restored)
        graph.graph.erase_node(nodes[0])
    for node in list(graph.graph.nodes):  # guards repeat the example's sizes, which is not an error of ours
        if not node.users and (node.op == "get_attr" or node.target == "_guards_fn"):
            graph.graph.erase_node(node)
    if hasattr(graph, "_guards_fn"):
        del graph._guards_fn
