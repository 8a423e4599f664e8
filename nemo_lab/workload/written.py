"""Tensors that are written to: who reads them later reads what was written, whatever name it goes by."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from nemo_lab.workload.nodes import is_function
from nemo_lab.workload.shapes_and_macs import run
from nemo_lab.workload.untouched import depth_of_transforms

# in the meta of a node: it writes into a tensor of several names, or reads it after; it changes a buffer
THROUGH, STATE = "written through", "state"


def read_what_was_written(graph: fx.GraphModule, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Have later users of a tensor that is changed in place depend on what changes it.

    A graph names values, but ``y[:, 0] = x`` or ``y[:, :2].mul_(3)`` change what ``y`` and its views hold.
    Which tensors share their numbers, and what changes them, is seen in a run on the example. What gives the
    changed tensor itself, as ``y.mul_(3)`` does, takes its place; else a view of it, made right after the
    write, does.
    """
    watch = _Watch(graph)
    run(watch, args, kwargs)
    order = {node: place for place, node in enumerate(graph.graph.nodes)}
    now: dict[fx.Node, fx.Node] = {}  # under which name a tensor is read since it was written to last
    for writer, touched in watch.writes:
        last = writer
        for one in touched:
            name = now.get(one, one)
            later = {user for user in name.users if order[user] > order[writer]}
            if not later:
                continue
            changed = writer
            if not watch.gives(writer, one):
                with graph.graph.inserting_after(last):
                    changed = last = graph.graph.call_method("view_as", (name, name))
                changed.meta = {"nn_module_stack": writer.meta.get("nn_module_stack", {}), THROUGH: True}
                writer.meta[THROUGH] = True
                order[changed] = order[writer]
            name.replace_all_uses_with(changed, delete_user_cb=later.__contains__)
            now[one] = changed
    graph.graph.lint()
    graph.recompile()


def changes_in_place(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node, a function or a module, writes into its first input."""
    if node.op == "call_module":
        return bool(getattr(graph.get_submodule(str(node.target)), "inplace", False)) and bool(
            node.all_input_nodes
        )
    return is_function(node) and works_in_place(node) and bool(node.all_input_nodes)


def works_in_place(node: fx.Node) -> bool:
    """Whether a function writes its result into its first argument."""
    target: Any = node.target
    if isinstance(target, torch._ops.OpOverload):
        return bool(target._schema.is_mutable)
    name = getattr(target, "__name__", str(target))
    in_place = name.endswith("_") and not name.endswith("__")
    return target in (operator.iadd, operator.setitem) or in_place or bool(node.kwargs.get("inplace"))


class _Watch(fx.Interpreter):
    """Notes what every node writes to.

    Attributes:
        writes: each node that changed tensors in place, and the earlier nodes whose tensors lie there.
    """

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph, garbage_collect_values=False)
        self.writes: list[tuple[fx.Node, list[fx.Node]]] = []
        self._holders: dict[int, list[fx.Node]] = {}  # of the storage at an address
        self._tensors: dict[fx.Node, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        """One node."""
        given = {one: self._tensors[one] for one in n.all_input_nodes if one in self._tensors}
        before = {one: _version(tensor) for one, tensor in given.items()}
        held, depth = self._held(n), depth_of_transforms()
        result = super().run_node(n)
        if any(_version(tensor) != version for tensor, version in held) or depth_of_transforms() != depth:
            n.meta[STATE] = True
        changed = {_storage(tensor) for one, tensor in given.items() if _version(tensor) != before[one]}
        touched = [holder for storage in changed for holder in self._holders[storage]]
        if touched:
            self.writes.append((n, touched))
        if any(one.op == "get_attr" for one in touched):
            n.meta[STATE] = True
        if isinstance(result, Tensor) and n.op != "output":
            self._tensors[n] = result
            self._holders.setdefault(_storage(result), []).append(n)
        return result

    def _held(self, node: fx.Node) -> list[tuple[Tensor, int]]:
        """The buffers of the module that a node calls, with their versions."""
        if node.op != "call_module":
            return []
        buffers = self.fetch_attr(str(node.target)).buffers()
        return [(buffer, _version(buffer)) for buffer in buffers]

    def gives(self, node: fx.Node, other: fx.Node) -> bool:
        """Whether a node gives the very tensor of another: the same numbers in the same shape."""
        one, two = self._tensors.get(node), self._tensors[other]
        return one is not None and (
            (one.data_ptr(), one.shape, one.stride(), one.dtype)
            == (two.data_ptr(), two.shape, two.stride(), two.dtype)
        )


def _version(tensor: Tensor) -> int:
    """How often a tensor was written to; what was made in inference mode cannot be, outside of it."""
    return 0 if tensor.is_inference() else tensor._version


def _storage(tensor: Tensor) -> int:
    address: int = tensor.untyped_storage()._cdata
    return address
