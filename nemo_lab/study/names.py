"""From the names people type to node positions and widths, with errors that name the way out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nemo_lab.cost import as_bits
from nemo_lab.errors import ArgumentError, BitWidthError, UnknownNameError
from nemo_lab.search import Problem
from nemo_lab.search.species import Bits


class NodeNames:
    """Every name of every node of a problem: its own, and its aliases where there is a workload."""

    def __init__(self, problem: Problem) -> None:
        self.names = tuple(problem.node_names)
        self.widths = tuple(problem.bit_widths)
        self.index = {name: position for position, name in enumerate(self.names)}
        for node in getattr(getattr(problem, "workload", None), "nodes", ()):
            for alias in node.aliases:
                self.index.setdefault(alias, node.index)

    def node(self, name: str) -> int:
        """Position of a node.

        Raises:
            UnknownNameError: if no node has that name.
        """
        if name not in self.index:
            raise UnknownNameError("node", name, self.index)
        return self.index[name]

    def width(self, value: Any) -> int:
        """A bit-width of the problem.

        Raises:
            BitWidthError: if it is none.
        """
        if isinstance(value, bool) or value not in self.widths:
            raise BitWidthError(
                f"bit-width {value!r} is not allowed", f"choose from {', '.join(map(str, self.widths))}"
            )
        return int(value)

    def pins(self, name: str | Mapping[str, Any], bits: Any, weight: Any, activation: Any) -> dict[int, int]:
        """What ``Study.pin`` was asked for, as node -> width."""
        if isinstance(name, Mapping):
            return {self.node(node): self.width(value) for node, value in name.items()}
        if bits is not None:
            if weight is not None or activation is not None:
                raise ArgumentError(
                    f"pin({name!r}) got bits= together with weight= or activation=",
                    "give a node's name with bits=, or a layer's with weight= and activation=",
                )
            return {self.node(name): self.width(bits)}
        if weight is None and activation is None:
            raise ArgumentError(f"pin({name!r}) got no bit-width", "add bits=, weight= or activation=")
        wanted = {"weight": weight, "input": activation}
        return {
            self._part(name, part): self.width(value) for part, value in wanted.items() if value is not None
        }

    def nodes(self, name: str) -> tuple[int, ...]:
        """The node of that name, or both nodes of the layer of that name."""
        if name in self.index:
            return (self.index[name],)
        parts = tuple(
            self.index[f"{name}.{part}"] for part in ("weight", "input") if f"{name}.{part}" in self.index
        )
        if not parts:
            raise UnknownNameError("node or layer", name, self.index)
        return parts

    def _part(self, name: str, part: str) -> int:
        """The weight or input of a layer, which may be named by its path or by one of its nodes."""
        if not isinstance(name, str):
            raise UnknownNameError("layer", name, self.index)
        for suffix in (".weight", ".input"):
            name = name.removesuffix(suffix)
        if f"{name}.{part}" not in self.index:
            layers = sorted({known.rpartition(".")[0] for known in self.index if known.endswith(f".{part}")})
            raise UnknownNameError("layer", name, layers)
        return self.index[f"{name}.{part}"]

    def bits(self, given: Any) -> Bits:
        """Configurations uint8[N, Q] from an array, one width for all, or a mapping from names.

        Raises:
            BitWidthError, UnknownNameError: on widths or names that do not fit; a mapping has to
                name every node.
        """
        if isinstance(given, int | np.integer):
            given = np.full(len(self.names), given)
        elif isinstance(given, Mapping) or (hasattr(given, "to_dict") and getattr(given, "ndim", 0) == 1):
            row = {self.node(str(name)): value for name, value in given.items()}
            if len(row) < len(self.names):
                missing = next(n for i, n in enumerate(self.names) if i not in row)
                raise BitWidthError(
                    f"{len(row)} of {len(self.names)} nodes have a width, {missing!r} has none",
                    "start from study.config(id) and change what you like",
                )
            given = [row[position] for position in range(len(self.names))]
        return as_bits(given, len(self.names), self.widths)
