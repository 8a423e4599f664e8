"""A traced graph as plain records, which can be pickled, of any length, with all that its nodes carry.

torch.fx pickles a ``GraphModule`` as code, which forgets what was measured of each node, and a bare graph as
nodes within nodes, which ends at some hundred of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import torch
from torch import fx, nn
from torch.fx.node import map_aggregate, map_arg

OF_TORCH = {  # in the meta of a node: of how it was traced, and nobody reads it any more
    "custom", "eager_input_vals", "example_value", "from_node", "original_aten", "seq_nr", "source_fn_stack",
    "stack_trace", "tensor_meta", "torch_fn", "unbacked_bindings", "val",
}  # fmt: skip
STACK = "nn_module_stack"
HELD = ("_modules", "_parameters", "_buffers", "_non_persistent_buffers_set", "training", "meta")


@dataclass(frozen=True)
class Reference:
    """What a node gives, in the arguments of another.

    Attributes:
        name: of the node.
    """

    name: str


@dataclass(frozen=True)
class Operation:
    """One of torch's dispatcher, which pickle does not know.

    Attributes:
        path: below ``torch.ops``, such as ``"aten.add.Tensor"``.
    """

    path: str


@dataclass(frozen=True)
class Step:
    """A node.

    Attributes:
        op, name, target, args, kwargs, type, meta: as of ``fx.Node``, with references in the place of nodes.
    """

    op: str
    name: str
    target: Any
    args: Any
    kwargs: Any
    type: Any
    meta: dict[str, Any]


def record_of(graph: fx.GraphModule) -> dict[str, Any]:
    """What a graph is made of again by ``graph_of``; it shares modules and tensors with the graph."""
    held = {name: graph.__dict__[name] for name in HELD if name in graph.__dict__}
    for node in graph.graph.nodes:  # plain attributes
        first = str(node.target).partition(".")[0]
        if node.op == "get_attr" and first in graph.__dict__:
            held[first] = graph.__dict__[first]
    steps = [
        Step(
            node.op,
            node.name,
            _named(node.target),
            map_arg(node.args, lambda one: Reference(one.name)),  # type: ignore[arg-type, return-value]
            map_arg(node.kwargs, lambda one: Reference(one.name)),  # type: ignore[arg-type, return-value]
            node.type,
            _told(node.meta),
        )
        for node in graph.graph.nodes
    ]
    return {"held": held, "steps": steps, "codegen": graph.graph._codegen}


def graph_of(record: dict[str, Any]) -> fx.GraphModule:
    """The graph of ``record_of``."""
    graph, nodes = fx.Graph(), dict[str, fx.Node]()

    def known(argument: Any) -> Any:
        return map_aggregate(argument, lambda one: nodes[one.name] if isinstance(one, Reference) else one)

    for step in record["steps"]:
        target = (
            attrgetter(step.target.path)(torch.ops) if isinstance(step.target, Operation) else step.target
        )
        node = graph.create_node(
            step.op, target, known(step.args), known(step.kwargs), name=step.name, type_expr=step.type
        )
        node.name = step.name
        node.meta = dict(step.meta)
        nodes[step.name] = node
    graph.set_codegen(record["codegen"])
    made = fx.GraphModule(nn.Module(), fx.Graph())
    made.__dict__.update(record["held"])
    made.graph = graph
    return made


def _named(target: Callable[..., Any] | str) -> Any:
    """A target that can be pickled."""
    if isinstance(target, torch._ops.OpOverload):
        return Operation(f"{target._schema.name.replace('::', '.')}.{target._overloadname}")
    if isinstance(target, torch._ops.OpOverloadPacket):
        return Operation(target._qualified_op_name.replace("::", "."))
    if isinstance(target, torch._ops.HigherOrderOperator):
        return Operation(f"higher_order.{target.__name__}")
    return target


def _told(meta: dict[str, Any]) -> dict[str, Any]:
    """What is known of a node; of the modules around it paths alone."""
    told = {key: value for key, value in meta.items() if key not in OF_TORCH}
    if STACK in told:
        told[STACK] = {key: (one[0], None) for key, one in told[STACK].items()}
    return told
