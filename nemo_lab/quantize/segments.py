"""A network cut into segments, each of which ends with an activation quantizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import fx

from nemo_lab.workload.arranged import tensors_of
from nemo_lab.workload.nodes import function_name, is_function
from nemo_lab.workload.operations import TRANSPARENT
from nemo_lab.workload.written import STATE, changes_in_place


@dataclass(frozen=True)
class Segment:
    """A stretch of the network.

    Attributes:
        run: takes the tensors that flow in, returns those that flow out (the last: the output).
        outputs: the fx node of each tensor that flows out.
        decisions: int[D], columns of bits that this and all earlier segments depend on.
        fixed: of the nodes that flow out those that depend on no decision, such as masks.
    """

    run: fx.GraphModule
    outputs: tuple[fx.Node, ...]
    decisions: NDArray[np.int64]
    fixed: frozenset[fx.Node]


def cut(graph: fx.GraphModule, quantizers: Mapping[str, Any], decisions: Mapping[str, int]) -> list[Segment]:
    """Cut a network after every quantizer.

    It is one piece if something in it draws, remembers, or works in place on what is used later.

    Args:
        graph: a network with quantizer modules.
        quantizers: path of each quantizer module -> the module.
        decisions: path of each quantizer module, and of each quantized parameter -> its column of bits.
    """
    nodes = [n for n in graph.graph.nodes if n.op not in ("placeholder", "get_attr", "output")]
    ends = [i for i, n in enumerate(nodes) if n.op == "call_module" and n.target in quantizers]
    if _overwrites(graph) or any(n.meta.get("random") or n.meta.get(STATE) for n in nodes):
        ends = []
    bounds = [0, *(end + 1 for end in ends), len(nodes)]
    segments: list[Segment] = []
    seen: set[int] = set()
    fixed = _fixed(graph, decisions)
    flowing = [n for n in graph.graph.nodes if n.op == "placeholder"]
    (output,) = (n for n in graph.graph.nodes if n.op == "output")
    for begin, end in pairwise(bounds):
        inside = nodes[begin:end]
        last = end == len(nodes)
        later = {n for node in (*nodes[end:], output) for n in node.all_input_nodes}
        leaving = [n for n in (*flowing, *inside) if n in later]
        for node in inside:
            seen |= decisions_of(graph, node, decisions)
        piece = _piece(graph, flowing, inside, output.args[0] if last else tuple(leaving))
        columns = np.array(sorted(seen), dtype=np.int64)
        segments.append(Segment(piece, tuple(leaving), columns, fixed.intersection(leaving)))
        flowing = leaving
        if last:
            break
    return segments


def _piece(graph: fx.GraphModule, inputs: Sequence[fx.Node], inside: Sequence[fx.Node], result: Any) -> Any:
    piece = fx.Graph()
    new = {node: piece.placeholder(node.name) for node in inputs}

    def of(node: fx.Node) -> fx.Node:
        if node not in new and node.op == "get_attr":
            new[node] = piece.get_attr(str(node.target))
        return new[node]

    for node in inside:
        new[node] = piece.node_copy(node, of)
    piece.output(fx.node.map_arg(result, of))
    return fx.GraphModule(graph, piece)


def decisions_of(graph: fx.GraphModule, node: fx.Node, decisions: Mapping[str, int]) -> set[int]:
    """The columns of bits that a node itself depends on; see ``cut``."""
    paths = [str(n.target) for n in node.all_input_nodes if n.op == "get_attr"]
    if node.op == "call_module":
        names = (name for name, _ in tensors_of(graph.get_submodule(str(node.target))))
        paths += [str(node.target), *(f"{node.target}.{name}" for name in names)]
    return {decisions[path] for path in paths if path in decisions}


def _fixed(graph: fx.GraphModule, decisions: Mapping[str, int]) -> frozenset[fx.Node]:
    """The nodes that depend on no decision; none if one of them is written to."""
    found: set[fx.Node] = set()
    for node in graph.graph.nodes:
        free = found.issuperset(node.all_input_nodes)
        if free and changes_in_place(graph, node):
            return frozenset()
        if free and not decisions_of(graph, node, decisions):
            found.add(node)
    return frozenset(found)


def _overwrites(graph: fx.GraphModule) -> bool:
    """Whether an operation in place changes a tensor that is used again later under its old name."""
    order = {node: place for place, node in enumerate(graph.graph.nodes)}
    for node in graph.graph.nodes:
        if not changes_in_place(graph, node):
            continue
        changed = node.all_input_nodes[0]
        while True:
            if any(order[user] > order[node] for user in changed.users):
                return True
            view = is_function(changed) and function_name(changed) in {*TRANSPARENT, "getitem", "chunk"}
            if not view:
                break
            changed = changed.all_input_nodes[0]
    return False
