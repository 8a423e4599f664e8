"""What is multiplied and does not depend on the input: the stored tensors that are weights, and their scales.

A parameter is a weight whichever way it reaches a product. In part, repeated or in another order it is
rounded as it is stored, once for all its parts. What is computed from it, or from several, is what a deployed
network would store: it is computed once, held, and rounded in its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from nemo_lab.workload.arranged import arrangement
from nemo_lab.workload.channels import scales_of_operands, scales_of_stored
from nemo_lab.workload.nodes import is_read_off, is_tensor, label, read
from nemo_lab.workload.operations import LAYERS, Operations
from nemo_lab.workload.shapes_and_macs import run
from nemo_lab.workload.written import STATE, THROUGH

SCALES = "scales"  # in the meta of a product: those of each operand that is stored, None for one that flows


def read_weights(
    graph: fx.GraphModule, module: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any], batch: int
) -> None:
    """Hold what is computed from stored tensors alone and multiplied, and note the scales of all weights.

    Args:
        graph: traced and measured; changed in place.
        module: the network it was traced from, in evaluation mode.
        args, kwargs: the example.
        batch: how many rows it has.
    """
    operations = Operations(graph)
    constant = _constant(graph, operations, batch)
    computed: dict[fx.Node, fx.Node] = {}  # -> the product that reads it first
    arranged = False
    for node in graph.graph.nodes:
        for operand in operations.operands(node) or ():
            if operand is not None:
                origin, between = arrangement(operand)
                arranged |= bool(between) and origin.op == "get_attr"
                if _is_computed(origin, constant):
                    computed.setdefault(origin, node)
    values = _Values(graph, computed)
    if computed or arranged:
        run(values, args, kwargs)
    if computed:
        _Holder(graph, module, constant, computed).hold(values.found)
    for node in graph.graph.nodes:
        if operations.operands(node) is not None:
            node.meta[SCALES] = _scales(operations, node, values)


class _Values(fx.Interpreter):
    """Keeps the value of every node, and what is computed as it was when it was made."""

    def __init__(self, graph: fx.GraphModule, wanted: Mapping[fx.Node, Any]) -> None:
        super().__init__(graph, garbage_collect_values=False)
        self.found: dict[fx.Node, Tensor] = {}
        self._wanted = wanted

    def run_node(self, n: fx.Node) -> Any:
        """One node."""
        result = super().run_node(n)
        if n in self._wanted:
            self.found[n] = result.detach().clone()
        return result


def _scales(operations: Operations, node: fx.Node, values: fx.Interpreter) -> list[Any]:
    found: list[Any] = []
    operands = operations.operands(node) or ()
    for operand, scales in zip(operands, scales_of_operands(operations, node), strict=True):
        origin, between = (None, []) if operand is None else arrangement(operand)
        if between and origin is not None and origin.op == "get_attr":
            scales = scales_of_stored(scales, values.fetch_attr(str(origin.target)), between, values)
        found.append(scales if origin is None or origin.op == "get_attr" else None)
    return found


def _constant(graph: fx.GraphModule, operations: Operations, batch: int) -> set[fx.Node]:
    """The nodes that depend on stored tensors alone, and on what is read off others, and draw nothing.

    A layer of torch.nn is a layer even if its input is stored.
    """
    found: set[fx.Node] = set()
    for node in graph.graph.nodes:
        pure = not any(node.meta.get(key) for key in ("random", STATE, THROUGH))
        made = node.op in ("call_function", "call_method", "call_module")
        if (
            node.op == "get_attr"
            or is_read_off(node, batch)
            or (made and pure and found.issuperset(read(node)) and not _in_layer(operations, node))
        ):
            found.add(node)
    return found


def _in_layer(operations: Operations, node: fx.Node) -> bool:
    module = operations.module(node)
    if module is not None:
        return any(isinstance(part, LAYERS) for part in module.modules())
    stack: list[tuple[str, Any]] = list(node.meta.get("nn_module_stack", {}).values())
    kind = stack[-1][1] if stack else None
    return kind in LAYERS or kind in {f"{layer.__module__}.{layer.__qualname__}" for layer in LAYERS}


def _is_computed(origin: fx.Node, constant: set[fx.Node]) -> bool:
    made = origin in constant and origin.op != "get_attr" and is_tensor(origin)
    return made and any(node.op == "get_attr" for node in _behind(origin, constant))


def _behind(node: fx.Node, constant: set[fx.Node]) -> set[fx.Node]:
    """All constant nodes that a node depends on."""
    found: set[fx.Node] = set()
    waiting = [node]
    while waiting:
        new = constant.intersection(read(waiting.pop())) - found
        found |= new
        waiting += new
    return found


class _Holder:
    """Puts stored tensors in the place of what is computed.

    Args:
        graph: changed in place.
        module: whose own parts are left as they are.
        constant: nodes that depend on stored tensors alone.
        computed: each node that is held -> the product that reads it first.
    """

    def __init__(
        self,
        graph: fx.GraphModule,
        module: nn.Module,
        constant: set[fx.Node],
        computed: Mapping[fx.Node, fx.Node],
    ) -> None:
        self.graph, self.constant, self.computed = graph, constant, computed
        self._given = set(module.modules())
        self._sources = {
            node: {str(one.target) for one in _behind(node, constant) if one.op == "get_attr"}
            for node in computed
        }
        self._parameters = {path for path, _ in graph.named_parameters(remove_duplicate=False)}
        self._held: list[tuple[set[str], Tensor, str]] = []

    def hold(self, values: Mapping[fx.Node, Tensor]) -> None:
        """Hold the value of each computed node; take out what is not needed any more."""
        nodes = list(self.graph.graph.nodes)
        needed: set[fx.Node] = set()
        for node in reversed(nodes):
            if node not in self.constant or (node not in self.computed and not needed.isdisjoint(node.users)):
                needed.add(node)
        self._forget(
            {str(node.target) for node in nodes if node.op == "get_attr" and node not in needed}
            - {str(node.target) for node in needed if node.op == "get_attr"}
        )
        for node in self.computed:
            path = self._path(node, values[node])
            with self.graph.graph.inserting_before(node):
                held = self.graph.graph.get_attr(path)
            held.meta = {**node.meta, "macs": 0}
            node.replace_all_uses_with(held)
        for node in reversed(nodes):
            if node not in needed:
                self.graph.graph.erase_node(node)
        self.graph.graph.lint()
        self.graph.recompile()

    def _forget(self, paths: set[str]) -> None:
        """Delete attributes, but for those of the network's own parts."""
        for path in paths:
            owner, _, name = path.rpartition(".")
            if self.graph.get_submodule(owner) not in self._given:
                delattr(self.graph.get_submodule(owner), name)

    def _path(self, node: fx.Node, value: Tensor) -> str:
        """Where a computed tensor is stored: where the very same is, or else at a new place."""
        for sources, other, path in self._held:
            if sources == self._sources[node] and other.shape == value.shape and torch.equal(other, value):
                return path
        path = next(name for name in self._names(node) if self._is_free(name))
        *owners, name = path.split(".")
        owner: nn.Module = self.graph
        for part in owners:
            if not hasattr(owner, part):
                owner.add_module(part, nn.Module())
            owner = getattr(owner, part)
        owner.register_parameter(name, nn.Parameter(value, requires_grad=False))
        self._held.append((self._sources[node], value, path))
        return path

    def _names(self, node: fx.Node) -> Iterator[str]:
        """That of the one parameter it is computed from, or else of the layer that multiplies by it."""
        parameters = self._sources[node] & self._parameters
        if len(parameters) == 1:
            yield from parameters
        product = self.computed[node]
        called, end = label(product), "input" if product.op == "call_module" else "weight"
        owner = called.rpartition(".")[0]
        if owner:
            yield f"{owner}.{end}"
        yield f"{called}.{end}"
        flat = f"{called}.{end}".replace(".", "_")
        while True:
            yield flat
            flat += "_"

    def _is_free(self, path: str) -> bool:
        *owners, name = path.split(".")
        owner: Any = self.graph
        for part in owners:
            if not hasattr(owner, part):
                return True
            owner = getattr(owner, part)
            if not isinstance(owner, nn.Module) or owner in self._given:
                return False
        return not hasattr(owner, name)
