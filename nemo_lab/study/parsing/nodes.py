"""Which nodes a person means, by name, module, glob or kind, and what they are pinned to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from nemo_lab.errors import ArgumentError, UnknownNameError
from nemo_lab.search import Problem
from nemo_lab.search.constraints import Pins, Width, checked_width, width_text
from nemo_lab.study.parsing.names import NodeNames

PARTS = {"weight": "weight", "activation": "input"}  # what people call them, what names end with
LISTED = 4  # nodes that are named one by one in the log


class Selection:
    """Nodes and layers of a problem, to be found by what people call them.

    A text is first taken as the exact name of a node, then of a layer; then as a module, or a glob of nodes
    or modules, and names everything that it fits. Aliases are looked at where nothing else fits.
    """

    def __init__(self, problem: Problem, names: NodeNames) -> None:
        self._widths = tuple(problem.bit_widths)
        self._index = names.index
        self._own = {name: position for position, name in enumerate(names.names)}
        workload = problem.workload
        nodes = () if workload is None else workload.nodes
        for node in nodes:
            for quantizer in node.quantizers:
                self._own.setdefault(quantizer.name, node.index)
        ends = tuple(f".{part}" for part in PARTS.values())
        self._layers = dict.fromkeys(
            known.rpartition(".")[0] for known in self._index if known.endswith(ends)
        )
        self._kinds = _kinds(nodes) if nodes else _kinds_by_name(names.names)
        self._layer_ops = {} if workload is None else {one.name: one.op for one in workload.layers}

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that there are."""
        return tuple(self._kinds)

    def pins(
        self, name: Any, bits: Any, weight: Any, activation: Any, least: Any, most: Any, kind: str | None
    ) -> dict[int, Width]:
        """What ``Study.pin`` was asked for, as node -> width or (lowest, highest).

        Raises:
            UnknownNameError: if a name, module, glob or kind is unknown.
            BitWidthError: if a width is not among the problem's.
            ArgumentError: if the arguments do not go together, or nothing is left to pin.
        """
        given = {"bits": bits, "weight": weight, "activation": activation, "min": least, "max": most}
        used = [f"{key}=" for key, value in given.items() if value is not None]
        if isinstance(name, Mapping):
            if used:
                raise ArgumentError(f"pin got a mapping together with {used[0]}", "a mapping has the widths")
            pins = {node: self._width(width) for one, width in name.items() for node in self.nodes(one, kind)}
            if not pins:
                raise ArgumentError("pin got an empty mapping", "give node -> width")
            return pins
        asked = "pin()" if name is None else f"pin({name!r})"
        if not used:
            raise ArgumentError(
                f"{asked} got no bit-width", "add bits=, weight= or activation=, or min= and max= for a range"
            )
        ways = {"bits=": "bits", "min=": "range", "max=": "range"}
        if len({ways.get(key, "parts") for key in used}) > 1:
            raise ArgumentError(
                f"{asked} got {used[0]} together with {used[-1]}",
                "give bits=, or min= and max=, or a layer's weight= and activation=; a width may be (4, 6)",
            )
        if weight is None and activation is None:
            if bits is None:
                bits = (
                    self._widths[0] if least is None else least,
                    self._widths[-1] if most is None else most,
                )
            width = self._width(bits)
            return dict.fromkeys(self.nodes(name, kind), width)
        layers = self._found_layers(name, kind)
        wanted: dict[int, Width] = {}
        for part, value in (("weight", weight), ("activation", activation)):
            if value is not None:
                width = self._width(value)
                wanted.update(dict.fromkeys(self._part(layers, part, name), width))
        return wanted

    def nodes(self, name: Any, kind: str | None = None) -> tuple[int, ...]:
        """The nodes that a name, several, a kind, or both together select.

        Raises:
            UnknownNameError: if a name, module, glob or kind is unknown.
            ArgumentError: if nothing is named, or nothing that is named is of that kind.
        """
        of_kind = None if kind is None else self._of_kind(kind)
        if name is None:
            if of_kind is None:
                raise ArgumentError("no node is named", "give a name, a glob such as '*.weight', or kind=")
            return of_kind
        found = [node for one in _listed(name) for node in self._named(one)]
        kept = tuple(dict.fromkeys(node for node in found if of_kind is None or node in of_kind))
        if not kept:
            raise ArgumentError(
                f"nothing that {name!r} names is of kind {kind!r}", "give the name or the kind alone"
            )
        return kept

    def _named(self, name: object) -> list[int]:
        if isinstance(name, str):
            if name in self._index:
                return [self._index[name]]
            parts = [self._index[key] for part in PARTS.values() if (key := f"{name}.{part}") in self._index]
            if parts:
                return parts
            for known in (self._own, self._index):
                found = {node for text, node in known.items() if _fits(text, name)}
                if found:
                    return sorted(found)
        raise UnknownNameError("node or layer", name, self._index)

    def _found_layers(self, name: Any, kind: str | None) -> list[str]:
        """Layers by name, module, glob or one of their nodes; by kind; or both."""
        if kind is not None:
            self._of_kind(kind)
            if kind in PARTS:
                raise ArgumentError(
                    f"kind={kind!r} is one of nodes, not of layers", "give bits=, min= or max= with it"
                )
        elif name is None:
            raise ArgumentError("no layer is named", "give a name, a glob such as 'blocks.*', or kind=")
        found: list[str] = []
        for one in self._layers if name is None else _listed(name):
            found += self._layers_named(one)
        kept = [layer for layer in dict.fromkeys(found) if kind is None or self._is_of(layer, kind)]
        if not kept:
            within = "" if name is None else f" that {name!r} names"
            raise ArgumentError(
                f"no layer{within} is of kind {kind!r}", "give bits=, min= or max= to pin its nodes"
            )
        return kept

    def _layers_named(self, name: object) -> list[str]:
        if isinstance(name, str):
            for part in PARTS.values():
                name = name.removesuffix(f".{part}")
            if name in self._layers:
                return [name]
            found = [layer for layer in self._layers if _fits(layer, name)]
            if found:
                return found
        raise UnknownNameError("layer", name, self._layers)

    def _is_of(self, layer: str, kind: str) -> bool:
        weight = self._index.get(f"{layer}.weight")
        return self._layer_ops.get(layer) == kind or (weight is not None and weight in self._kinds[kind])

    def _part(self, layers: Sequence[str], part: str, name: object) -> list[int]:
        """Weights, or inputs, of those layers that have one."""
        end = PARTS[part]
        found = [self._index[key] for layer in layers if (key := f"{layer}.{end}") in self._index]
        if not found:
            known = [layer for layer in self._layers if f"{layer}.{end}" in self._index]
            raise UnknownNameError(f"layer with {part}s to quantize", name or layers[0], known)
        return found

    def _of_kind(self, kind: str) -> tuple[int, ...]:
        if not isinstance(kind, str) or kind not in self._kinds:
            raise UnknownNameError("kind", kind, self._kinds)
        return self._kinds[kind]

    def _width(self, value: Any) -> Width:
        return checked_width(value, self._widths)


def _kinds(nodes: Iterable[Any]) -> dict[str, tuple[int, ...]]:
    """Kind -> nodes: weights and activations; an operation's weights, or what it makes if it has none."""
    found: dict[str, list[int]] = {"weight": [], "activation": [], "depthwise": []}
    made: dict[str, list[int]] = {}
    for node in nodes:
        found[node.kind].append(node.index)
        (found if node.kind == "weight" else made).setdefault(node.op, []).append(node.index)
        if node.depthwise:
            found["depthwise"].append(node.index)
    for op, members in made.items():
        found.setdefault(op, members)
    return {kind: tuple(members) for kind, members in found.items() if members}


def _kinds_by_name(names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    flows = [name.endswith((".input", ".output")) for name in names]
    kinds = {
        kind: tuple(node for node, one in enumerate(flows) if one == flowing)
        for kind, flowing in (("weight", False), ("activation", True))
    }
    return {kind: members for kind, members in kinds.items() if members}


def _listed(name: Any) -> list[Any]:
    if isinstance(name, str) or not isinstance(name, Iterable):
        return [name]
    listed = list(name)
    if not listed:
        raise ArgumentError("an empty list names nothing", "give a name or a glob such as '*.weight'")
    return listed


def _fits(name: str, pattern: str) -> bool:
    """Whether it is called so, or is inside of what is called so."""
    inside = name.startswith(f"{pattern}.") or fnmatchcase(name, f"{pattern}.*")
    return inside or fnmatchcase(name, pattern)


def said(name: Any, kind: str | None) -> str:
    """What was asked for, for the log: ``" matching '*.weight' of kind 'depthwise'"``."""
    texts = [] if name is None else [repr(one) for one in _listed(name)]
    named = ", ".join(texts) if len(texts) <= LISTED else f"{', '.join(texts[:LISTED])}, ..."
    return (f" matching {named}" if texts else "") + ("" if kind is None else f" of kind {kind!r}")


def listed_nodes(nodes: Sequence[int], names: Sequence[str]) -> str:
    """Nodes for the log; many in short."""
    if len(nodes) <= LISTED:
        return ", ".join(names[node] for node in nodes)
    return f"{len(nodes)} nodes: {', '.join(names[node] for node in nodes[:2])}, ..."


def listed_pins(pins: Pins, names: Sequence[str], matching: str) -> str:
    """Pins for the log; many in short, such as ``"36 nodes matching '*.weight' = 4"``."""
    if len(pins) <= LISTED:
        return ", ".join(f"{names[node]} = {width_text(width)}" for node, width in pins.items())
    counts = Counter(width_text(width) for width in pins.values())
    if len(counts) == 1:
        return f"{len(pins)} nodes{matching} = {next(iter(counts))}"
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{count} = {width}" for width, count in ordered[:LISTED])
    return f"{len(pins)} nodes{matching}: {shown}" + (", ..." if len(ordered) > LISTED else "")
