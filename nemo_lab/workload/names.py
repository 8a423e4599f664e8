"""What people call nodes: names, layers, modules, globs, kinds, functions of a node, and several of these.

A text means the first of these that exists:

1. a node: its name, or an alias;
2. a layer: all that it multiplies, its weight and its input;
3. a module: the nodes inside it;
4. a glob: the nodes that it fits, and those inside the modules that it fits;
5. a kind: ``"weight"``, ``"activation"``, ``"depthwise"``, or an operation as in ``workload.to_frame()``,
   which means the weights of its layers, or what it makes if it has none.

What exists under exactly that name is not read as a glob. Modules and globs mean nodes by their own names, by
aliases only where no name fits. Case counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nemo_lab.errors import ArgumentError, UnknownNameError
from nemo_lab.workload.groups import ENDS, Named, NamedNode, kinds_of, layers_of, members
from nemo_lab.workload.matching import fitting, inside, listed, no_name, true_for
from nemo_lab.workload.records import Layer, Node

Called = str | Callable[[Any], bool]  # a text, or a function of a node that tells whether it is meant


@dataclass(frozen=True)
class Found:
    """Nodes in execution order, and what named them."""

    nodes: tuple[int, ...]
    by: Literal["name", "layer", "module", "glob", "kind", "function"]


class NameResolver:
    """The one place that decides which nodes or layers a text or a function means.

    Args:
        nodes: by position; a ``Node`` has aliases, quantizers and an operation, too.
        layers: what the nodes are multiplied in. Where a node is called ``x.weight`` or ``x.input``, there
            is a layer ``x`` as well.

    Attributes:
        kinds: each kind that there is -> its nodes.
        layers: each layer -> its weights and its activations.
    """

    def __init__(self, nodes: Sequence[Named], layers: Sequence[Layer] = ()) -> None:
        self.nodes = tuple(nodes)
        self._own: dict[str, int] = {}
        aliases: dict[str, int] = {}
        for position, node in enumerate(self.nodes):
            self._own.setdefault(node.name, position)
        for position, node in enumerate(self.nodes):
            if isinstance(node, Node):
                for quantizer in node.quantizers:
                    self._own.setdefault(quantizer.name, position)
                for alias in (*node.aliases, *(a for q in node.quantizers for a in q.aliases)):
                    aliases.setdefault(alias, position)
        self._all = {**self._own, **{name: p for name, p in aliases.items() if name not in self._own}}
        self.kinds = kinds_of(self.nodes)
        self.layers = layers_of(self._all, self.nodes, layers)
        self._ops = {layer.name: layer.op for layer in layers}

    @classmethod
    def of_names(cls, names: Iterable[str]) -> NameResolver:
        """For nodes of which only the names are known."""
        flowing = (".input", ".output")
        return cls(
            [NamedNode(i, n, "activation" if n.endswith(flowing) else "weight") for i, n in enumerate(names)]
        )

    def position(self, name: object, what: str = "node") -> int:
        """The node that has exactly this name or alias.

        Raises:
            UnknownNameError: if there is none; ``what`` says what was looked for.
        """
        if not isinstance(name, str) or name not in self._all:
            raise UnknownNameError(what, name, self._all)
        return self._all[name]

    def select(self, given: Any, where: str = "the selection") -> tuple[int, ...]:
        """The nodes that a text or a function means, or several of these together.

        Args:
            given: one, or any collection.
            where: it was given, for errors.

        Returns:
            positions, each once, in execution order; none for an empty collection.

        Raises:
            UnknownNameError: if a text names nothing; the nearest name is proposed.
            ArgumentError: if something is neither text nor function; or if a function raises, answers with
                something else than True or False, or is true for no node.
        """
        return tuple(sorted({node for one in listed(given, where) for node in self.find(one, where).nodes}))

    def find(self, one: Any, where: str = "the selection", what: str = "node or layer") -> Found:
        """Like ``select`` for one text or function, and what it turned out to be."""
        found = self.look_up(one, where)
        if found is None:
            modules = {name[:dot] for name in self._own for dot, sign in enumerate(name) if sign == "."}
            kinds = () if any(sign in one for sign in "*?[") else self.kinds
            raise UnknownNameError(what, one, [*self._all, *self.layers, *sorted(modules), *kinds])
        return found

    def look_up(self, one: Any, where: str = "the selection") -> Found | None:
        """Like ``find``, but None for a text that names nothing."""
        if callable(one):
            return Found(true_for(one, self.nodes), "function")
        if not isinstance(one, str):
            raise no_name(one, where)
        if one in self._all:
            return Found((self._all[one],), "name")
        if one in self.layers:
            return Found(tuple(sorted(members(self.layers[one]))), "layer")
        for known in (self._own, self._all):
            if names := inside(known, one):
                return Found(tuple(sorted({known[name] for name in names})), "module")
        for known in (self._own, self._all):
            if names := fitting(known, one):
                return Found(tuple(sorted({known[name] for name in names})), "glob")
        return Found(self.kinds[one], "kind") if one in self.kinds else None

    def of_kind(self, kind: object) -> tuple[int, ...]:
        """The nodes of a kind.

        Raises:
            UnknownNameError: if there is no such kind.
        """
        if not isinstance(kind, str) or kind not in self.kinds:
            raise UnknownNameError("kind", kind, self.kinds)
        return self.kinds[kind]

    def select_layers(self, given: Any, where: str = "the selection") -> tuple[str, ...]:
        """The layers that a text or a function means, or several of these together; as ``select``.

        A text may also be the name of a layer's weight or input, or a glob of such names; a function means
        the layers of the nodes for which it is true.
        """
        found = [layer for one in listed(given, where) for layer in self._find_layers(one, where)]
        return tuple(dict.fromkeys(found))

    def layers_of_kind(self, kind: object) -> tuple[str, ...]:
        """The layers that do an operation, or whose weights are of a kind.

        Raises:
            UnknownNameError: if there is no such kind.
            ArgumentError: if it is ``"weight"`` or ``"activation"``.
        """
        of_kind = set(self.of_kind(kind))
        if kind in ENDS:
            raise ArgumentError(f"kind={kind!r} selects nodes, not layers", "name the layers")
        return tuple(
            name
            for name, parts in self.layers.items()
            if self._ops.get(name) == kind or not of_kind.isdisjoint(parts["weight"])
        )

    def _find_layers(self, one: Any, where: str) -> Sequence[str]:
        if callable(one):
            nodes = set(true_for(one, self.nodes))
            return [name for name, parts in self.layers.items() if not nodes.isdisjoint(members(parts))]
        if not isinstance(one, str):
            raise no_name(one, where)
        if one in self.layers:
            return [one]
        stem = one
        for end in ENDS.values():
            stem = stem.removesuffix(end)
        found = inside(self.layers, stem) or fitting(self.layers, stem)
        if not found and one in self.kinds:
            return self.layers_of_kind(one)
        if not found:
            raise UnknownNameError("layer", one, self.layers)
        return found
