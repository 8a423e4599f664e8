"""From the names people type to node positions and widths, with errors that name the way out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nemo_lab.cost import as_bits
from nemo_lab.errors import BitWidthError, UnknownNameError
from nemo_lab.search import Problem
from nemo_lab.search.species import Bits


class NodeNames:
    """Every name of every node of a problem: its own, and its aliases where there is a workload."""

    def __init__(self, problem: Problem) -> None:
        self.names = tuple(problem.node_names)
        self.widths = tuple(problem.bit_widths)
        self.index = {name: position for position, name in enumerate(self.names)}
        workload = problem.workload
        for node in () if workload is None else workload.nodes:
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
