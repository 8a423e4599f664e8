"""A network cut into segments, and runs that begin where an earlier run agrees.

Every segment ends with an activation quantizer, so what flows between segments is whole numbers that
fit a byte. Two configurations with the same widths in the first segments have the same numbers there:
a later one starts behind them. What is kept is exact, so no result depends on what was kept. Kept is
only what has come up twice: most beginnings never return, and would push out those that do; and only
where all that flows is such numbers.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import fx

from nemo_lab.quantize.affine import Codes
from nemo_lab.workload.operations import TRANSPARENT, function_name, is_function
from nemo_lab.workload.written import STATE, changes_in_place

Prefix = bytes
REMEMBERED = 50_000  # beginnings


@dataclass(frozen=True)
class Segment:
    """A stretch of the network.

    Attributes:
        run: takes the tensors that flow in, returns those that flow out (the last: the output).
        outputs: the fx node of each tensor that flows out.
        decisions: int[D], columns of bits that this and all earlier segments depend on.
    """

    run: fx.GraphModule
    outputs: tuple[fx.Node, ...]
    decisions: NDArray[np.int64]


class KeptStates:
    """What flowed between segments, least recently used forgotten first, within ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = 0
        self._states: OrderedDict[Hashable, tuple[Codes, ...]] = OrderedDict()
        self._users: dict[int, int] = {}
        self._first: OrderedDict[Hashable, Prefix] = OrderedDict()

    def recurs(self, beginning: Hashable, configuration: Prefix) -> bool:
        """Whether another configuration began like this before; takes note that this one does."""
        first = self._first.setdefault(beginning, configuration)
        self._first.move_to_end(beginning)
        if len(self._first) > REMEMBERED:
            self._first.popitem(last=False)
        return first != configuration

    def __len__(self) -> int:
        return len(self._states)

    def __iter__(self) -> Iterator[tuple[Codes, ...]]:
        """Every state, least recently used first."""
        return iter(tuple(self._states.values()))

    def get(self, key: Hashable) -> tuple[Codes, ...] | None:
        """A state, if it is still there."""
        state = self._states.get(key)
        if state is not None:
            self._states.move_to_end(key)
        return state

    def put(self, key: Hashable, state: tuple[Codes, ...]) -> None:
        """Keep a state; parts that other states have too are counted once."""
        if key in self._states or sum(part.nbytes for part in state) > self.limit // 8:
            return
        self._states[key] = state
        for part in state:
            self._users[id(part)] = self._users.get(id(part), 0) + 1
            self.bytes += part.nbytes if self._users[id(part)] == 1 else 0
        while self.bytes > self.limit:
            _, oldest = self._states.popitem(last=False)
            for part in oldest:
                self._users[id(part)] -= 1
                if not self._users[id(part)]:
                    del self._users[id(part)]
                    self.bytes -= part.nbytes

    def clear(self) -> None:
        """Forget everything."""
        self._first.clear()
        self._states.clear()
        self._users.clear()
        self.bytes = 0


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
    flowing = [n for n in graph.graph.nodes if n.op == "placeholder"]
    (output,) = (n for n in graph.graph.nodes if n.op == "output")
    for begin, end in pairwise(bounds):
        inside = nodes[begin:end]
        last = end == len(nodes)
        later = {n for node in (*nodes[end:], output) for n in node.all_input_nodes}
        leaving = [n for n in (*flowing, *inside) if n in later]
        for node in inside:
            seen |= _decisions(graph, node, decisions)
        piece = _piece(graph, flowing, inside, output.args[0] if last else tuple(leaving))
        segments.append(Segment(piece, tuple(leaving), np.array(sorted(seen), dtype=np.int64)))
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


def _decisions(graph: fx.GraphModule, node: fx.Node, decisions: Mapping[str, int]) -> set[int]:
    paths = [str(n.target) for n in node.all_input_nodes if n.op == "get_attr"]
    if node.op == "call_module":
        names = [name for name, _ in graph.get_submodule(str(node.target)).named_parameters()]
        paths += [str(node.target), *(f"{node.target}.{name}" for name in names)]
    return {decisions[path] for path in paths if path in decisions}


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
