"""What is selected together: the nodes of a kind, and the weights and activations of a layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from nemo_lab.workload.records import Kind, Layer, Node

Parts = Mapping[Kind, Sequence[int]]  # the weights and the activations of a layer
ENDS: dict[Kind, str] = {"weight": ".weight", "activation": ".input"}  # of names: what a layer multiplies


class Named(Protocol):
    """What a function that selects nodes can count on; a ``Node`` has more."""

    @property
    def index(self) -> int: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def kind(self) -> Kind: ...  # noqa: D102


@dataclass(frozen=True)
class NamedNode:
    """A node of a problem without a workload: the end of its name tells its kind."""

    index: int
    name: str
    kind: Kind


def kinds_of(nodes: Sequence[Named]) -> dict[str, tuple[int, ...]]:
    """Kind -> nodes: weights and activations; an operation's weights, or what it makes if it has none."""
    found: dict[str, list[int]] = {"weight": [], "activation": [], "depthwise": []}
    made: dict[str, list[int]] = {}
    for position, node in enumerate(nodes):
        found[node.kind].append(position)
        if isinstance(node, Node):
            (found if node.kind == "weight" else made).setdefault(node.op, []).append(position)
            if node.depthwise:
                found["depthwise"].append(position)
    for op, activations in made.items():
        found.setdefault(op, activations)
    return {kind: tuple(positions) for kind, positions in found.items() if positions}


def layers_of(names: Mapping[str, int], nodes: Sequence[Named], layers: Sequence[Layer]) -> dict[str, Parts]:
    """Layer -> its weights and activations: ``x.weight`` and ``x.input``, and all else that it multiplies.

    Args:
        names: every name and alias -> position of the node.
        nodes: by position.
        layers: one for each call, so that several may have the same name.
    """
    found: dict[str, dict[Kind, list[int]]] = {}

    def add(layer: str, part: Kind, position: int) -> None:
        parts = found.setdefault(layer, {"weight": [], "activation": []})
        if position not in parts[part]:
            parts[part].append(position)

    for name, position in names.items():
        for part, end in ENDS.items():
            if name.endswith(end) and name != end:
                add(name.removesuffix(end), part, position)
    for layer in layers:
        for place, operand in enumerate(layer.operands):
            if operand is not None:
                add(layer.name, _part(nodes[operand], place), operand)
    return dict(found)


def _part(node: Named, place: int) -> Kind:
    """What an operand is to its layer; if a weight and an activation are tied, the weight comes first."""
    kinds = {quantizer.kind for quantizer in node.quantizers} if isinstance(node, Node) else set()
    if len(kinds) < 2:
        return node.kind
    return "activation" if place else "weight"


def members(parts: Parts) -> set[int]:
    """All nodes of a layer."""
    return {node for positions in parts.values() for node in positions}
