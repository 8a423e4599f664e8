"""What people pin, and the bit-widths they give, by the names of nodes; and how the log says it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nemo_lab.choices import check_choices, choices, not_allowed
from nemo_lab.cost import as_bits
from nemo_lab.errors import ArgumentError, BitWidthError, NemoError, UnknownNameError, shown
from nemo_lab.search import Problem
from nemo_lab.search.constraints import Pins, Width, checked_bits, checked_width, width_text
from nemo_lab.search.species import Bits
from nemo_lab.workload import Workload
from nemo_lab.workload.matching import listed, no_name, quoted
from nemo_lab.workload.names import NameResolver
from nemo_lab.workload.records import Kind

LONGEST = 1000  # characters of a name: a glob of many more takes minutes to compile
LISTED = 4  # nodes that are named one by one in the log


class Selection:
    """Nodes of a problem with what they are to be: pins, or the bit-widths of a configuration.

    What a name means is decided by ``nemo_lab.workload.names``.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._names = tuple(problem.node_names)
        self._widths = tuple(problem.bit_widths)
        self._resolver = resolver_of(problem)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that there are."""
        return tuple(self._resolver.kinds)

    def nodes(self, name: Any, kind: str | None = None) -> tuple[int, ...]:
        """The nodes that a name, several, a kind, or both together select, in execution order.

        Raises:
            UnknownNameError: if a name, module, glob or kind is unknown.
            ArgumentError: if nothing is named, or nothing that is named is of that kind; or if a function
                that selects nodes cannot be used.
        """
        of_kind = None if kind is None else self._resolver.of_kind(kind)
        if name is None:
            if of_kind is None:
                raise ArgumentError("no node is named", "give a name, a glob such as '*.weight', or kind=")
            return of_kind
        several = _several(name)
        found = self._resolver.select(several, "the selection")
        kept = tuple(node for node in found if of_kind is None or node in of_kind)
        if not kept:
            raise ArgumentError(
                f"nothing that {_quoted(several)} names is of kind {kind!r}",
                "give the name or the kind alone",
            )
        return kept

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
        name = gathered(name)
        asked = "pin()" if name is None else f"pin({_quoted(_several(name))})"
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
            lowest, highest = self._widths[0], self._widths[-1]
            span = (lowest if least is None else least, highest if most is None else most)
            return dict.fromkeys(self.nodes(name, kind), self._width(span if bits is None else bits))
        layers = self._layers(name, kind)
        wanted: dict[int, Width] = {}
        parts: dict[Kind, Any] = {"weight": weight, "activation": activation}
        for part, value in parts.items():
            if value is not None:
                wanted.update(dict.fromkeys(self._part(layers, part), self._width(value)))
        return wanted

    def bits(self, given: Any) -> Bits:
        """Configurations uint8[N, Q] from an array, one width for all, or a mapping from names.

        Raises:
            BitWidthError, UnknownNameError: on widths or names that do not fit; a mapping has to have a width
                for every node, where a later name goes before an earlier one.
        """
        if isinstance(given, int | np.integer):
            given = np.full(len(self._names), given)
        elif isinstance(given, Mapping) or (hasattr(given, "to_dict") and getattr(given, "ndim", 0) == 1):
            row: dict[int, int] = {}
            for name, width in given.items():
                row |= self.widths(name, width)
            if len(row) < len(self._names):
                missing = next(name for node, name in enumerate(self._names) if node not in row)
                raise BitWidthError(
                    f"{len(row)} of {len(self._names)} nodes have a width, {missing!r} has none",
                    "start from study.config(id) and change what you like, or put '*' with a width first",
                )
            given = [row[node] for node in range(len(self._names))]
        rows = as_bits(given, len(self._names), self._widths)
        check_choices(rows, self._problem)
        return rows

    def widths(self, name: Any, width: Any) -> dict[int, int]:
        """The nodes that a name means, each with a width that it may take.

        Raises:
            UnknownNameError: if it means none.
            BitWidthError: if the width is not allowed.
        """
        nodes = self._resolver.find(_short(name), "the configuration").nodes
        own = np.asarray(self._widths)[choices(self._problem)[list(nodes)].any(axis=0)].tolist()
        try:
            return dict.fromkeys(nodes, checked_bits(width, own))
        except BitWidthError:
            if len(nodes) == 1 and len(own) < len(self._widths):
                raise not_allowed(self._problem, nodes[0], shown(width)) from None
            raise

    def knows(self, name: str) -> bool:
        """Whether a text means nodes."""
        return len(name) <= LONGEST and self._resolver.look_up(name) is not None

    def _layers(self, name: Any, kind: str | None) -> Sequence[str]:
        """Layers by name, module, glob, function or one of their nodes; by kind; or both."""
        if name is None and kind is None:
            raise ArgumentError("no layer is named", "give a name, a glob such as 'blocks.*', or kind=")
        of_kind = None if kind is None else self._resolver.layers_of_kind(kind)
        found = of_kind if name is None else self._resolver.select_layers(_several(name))
        kept = [layer for layer in found or () if of_kind is None or layer in of_kind]
        if not kept:
            within = "" if name is None else f" that {_quoted(_several(name))} names"
            raise ArgumentError(
                f"no layer{within} is of kind {kind!r}", "give bits=, min= or max= to pin its nodes"
            )
        return kept

    def _part(self, layers: Sequence[str], part: Kind) -> list[int]:
        """Weights, or inputs, of those layers that have one."""
        parts = self._resolver.layers
        found = [node for layer in layers for node in parts[layer][part]]
        if not found:
            known = [layer for layer, nodes in parts.items() if nodes[part]]
            raise UnknownNameError(f"layer with {part}s to quantize", layers[0], known)
        return found

    def _width(self, value: Any) -> Width:
        return checked_width(value, self._widths)


def resolver_of(problem: Problem) -> NameResolver:
    """What finds the nodes of a problem, by the names of its workload too, where it has one."""
    names = tuple(problem.node_names)
    workload = getattr(problem, "workload", None)
    if not isinstance(workload, Workload) or len(workload.nodes) != len(names):
        return NameResolver.of_names(names)
    if names == workload.names:
        return workload.resolver
    nodes = [
        dataclasses.replace(node, name=name, aliases=(node.name, *node.aliases))
        for name, node in zip(names, workload.nodes, strict=True)
    ]
    return NameResolver(nodes, workload.layers)


def gathered(name: Any) -> Any:
    """What was given, to be read more than once: anything but a list, such as a generator, as one."""
    return name if name is None or isinstance(name, str | Mapping) or callable(name) else _several(name)


def _several(name: Any) -> list[Any]:
    try:
        several = listed(name, "the selection")
    except NemoError:
        raise
    except Exception as error:  # what the object's own methods raise
        raise no_name(name, "the selection") from error
    for one in several:
        _short(one)
    if not several:
        raise ArgumentError("an empty list names nothing", "give a name or a glob such as '*.weight'")
    return several


def _short(name: Any) -> Any:
    """What was given as a name, unless it is far too long for one."""
    if isinstance(name, str) and len(name) > LONGEST:
        raise ArgumentError(f"{shown(name)} is too long for a name", "give a name or a glob of a node")
    return name


def _quoted(several: Sequence[Any]) -> str:
    shown = ", ".join(map(quoted, several[:LISTED]))
    return shown if len(several) <= LISTED else f"{shown}, ..."


def said(name: Any, kind: str | None) -> str:
    """What was asked for, for the log: ``" matching '*.weight' of kind 'depthwise'"``."""
    matching = "" if name is None else f" matching {_quoted(_several(name))}"
    return matching + ("" if kind is None else f" of kind {kind!r}")


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
