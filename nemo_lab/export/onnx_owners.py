"""Which nodes an operation of an ONNX graph belongs to: one that we wrote, or what a runtime makes of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

ROUND, READ = "QuantizeLinear", "DequantizeLinear"
LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")  # which may have stored weights
MOVES = (  # what is rounded stays rounded
    "Concat", "Expand", "Flatten", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose",
    "Unsqueeze",
)  # fmt: skip
PARTS = ("", "_codes", "_scale", "_zero_point", "_low", "_high")  # what is stored for a tensor
CALLED = re.compile(r"<(\d+)>")  # a runtime that joins operations keeps the name of one of them

Nodes = tuple[int, ...]


class Owners:
    """Tells what operations belong to.

    An operation belongs to the weights that it reads, else to the activations that it reads rounded. Rounding
    belongs to what makes the numbers, and reading them as floating point to what computes with them: both
    are there only where that computes in floating point, and are a part of it where not. What clips them to a
    narrow width belongs to the activation. A bias belongs to its layer, also where it is added apart, and
    what computes in full precision to no node.

    Args:
        graph: an ``onnx.GraphProto`` of ``put_integers``; its operations get names to know them by.
        nodes: the paths of weights and the names of activations -> their nodes.
    """

    def __init__(self, graph: Any, nodes: Mapping[str, int]) -> None:
        stored = {one.name for one in graph.initializer}
        self._constants: dict[str, Nodes] = dict.fromkeys(stored, ())
        for name, node in nodes.items():
            self._constants |= {f"{name}{part}": (node,) for part in PARTS if f"{name}{part}" in stored}
        self._rounded: dict[str, Nodes] = {name: (node,) for name, node in nodes.items()}
        self._makers: dict[str, Nodes] = {}
        self._found: list[Nodes] = []
        self._brings: list[bool] = []  # whether an operation only brings numbers to others
        for number, operation in enumerate(graph.node):
            operation.name = f"<{number}>"
            self._add(operation)
        readers: dict[str, Nodes] = {}
        for number, operation in reversed(list(enumerate(graph.node))):
            if self._brings[number]:
                read = _together(readers.get(name, ()) for name in operation.output)
                self._found[number] = read or self._found[number]
            for name in operation.input:
                readers[name] = _together([readers.get(name, ()), self._found[number]])
            for name in operation.output:
                self._makers[name] = self._found[number]

    def _add(self, operation: Any) -> None:
        inputs, kind = [name for name in operation.input if name], operation.op_type
        fixed = [name for name in inputs if name in self._constants]
        flowing = [name for name in inputs if name not in self._constants]
        makers = _together(self._makers.get(name, ()) for name in flowing)
        owners = _together(self._constants[name] for name in fixed)
        passes = owners and kind == "Clip"
        brings = kind in (*MOVES, READ) if flowing else kind == READ and not owners
        if owners and kind == ROUND:
            owners = makers or owners
        elif not owners and fixed and len(flowing) == 1 and kind == "Add":
            owners = makers
        elif not owners and kind != "Shape" and not (fixed and kind in LAYERS):
            owners = _together(self._rounded.get(name, ()) for name in flowing)
        self._found.append(owners)
        self._brings.append(brings)
        for name in operation.output:
            self._makers[name] = makers if passes else owners
            if not flowing or kind == "Shape":
                self._constants[name] = owners
            elif kind in MOVES:
                self._rounded.setdefault(name, owners)

    def of(self, operation: Any) -> Nodes:
        """The nodes of an operation of the graph as a runtime has arranged it.

        It goes by the name that it kept. What the runtime has put in between has the constants of what it
        stands for, or names that begin like those of numbers in the graph.
        """
        if called := CALLED.search(operation.name):
            return self._found[int(called[1])]
        for name in reversed(operation.input):  # zero points are last; equal scales are one constant
            if found := self._constants.get(name):
                return found
        for text in (operation.name, *operation.output, *operation.input):
            known = [name for name in self._makers if text == name or text.startswith(f"{name}_")]
            if known:
                return self._makers[max(known, key=len)]
        return ()


def _together(several: Iterable[Nodes]) -> Nodes:
    return tuple(sorted({node for nodes in several for node in nodes}))
