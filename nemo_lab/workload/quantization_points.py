"""Reads a measured graph: which tensors are multiplied, and which are rounded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter

from torch import Tensor, fx, nn

from nemo_lab.errors import TraceError
from nemo_lab.workload.arranged import stored
from nemo_lab.workload.channels import Scales, common
from nemo_lab.workload.computed import way_out
from nemo_lab.workload.nodes import label
from nemo_lab.workload.operations import Operations
from nemo_lab.workload.records import FULL_PRECISION, Quantizer
from nemo_lab.workload.stored_weights import SCALES


@dataclass
class Source:
    """A tensor that is rounded, under construction.

    Attributes:
        path: of a stored tensor, None for one that flows.
        node: the fx node that produces it; for a stored tensor the one that uses it first.
        uses: name of each place that consumes it, such as ``"conv1.input"``.
        scales: of a stored tensor, as each product that reads it permits them.
    """

    path: str | None
    node: fx.Node
    uses: list[str] = field(default_factory=list)
    scales: list[Scales] = field(default_factory=list)


@dataclass(frozen=True)
class Product:
    """One multiplication of two tensors, each named by the source it reads."""

    node: fx.Node
    sources: tuple[Source, Source]

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one example."""
        return int(self.node.meta["macs"])


class Quantizers:
    """Every quantizer that a graph has, in execution order.

    Args:
        graph: traced and measured.
        batch: examples in the measured batch.

    Raises:
        TraceError: if the weight of a layer is not a plain parameter.
    """

    def __init__(self, graph: fx.GraphModule, batch: int) -> None:
        self.graph, self.batch = graph, batch
        self.operations = Operations(graph)
        self.products: list[Product] = []
        self._stored: dict[int, Source] = {}
        self._flowing: dict[fx.Node, Source] = {}
        for node in graph.graph.nodes:
            self._read(node)

    def _read(self, node: fx.Node) -> None:
        ops = self.operations
        operands = ops.operands(node)
        if operands is not None:
            left, right = operands
            own = f"{node.target}.weight" if left is None else None
            second = "input" if own or ops.op(node) != "matmul" else "other"
            sources = self._source(left, own, node, "input"), self._source(right, None, node, second)
            self.products.append(Product(node, sources))
            for source, scales in zip(sources, node.meta[SCALES], strict=True):
                if scales is not None:
                    source.scales.append(scales)
        for addend in ops.addends(node):
            self._source(addend, None, node, None)
        pooled = ops.pooled(node)
        if pooled is not None:
            self._source(pooled, None, node, "input")

    def _source(self, tensor: fx.Node | None, path: str | None, user: fx.Node, use: str | None) -> Source:
        """The source of an operand, made on first sight."""
        producer = None if tensor is None else self._producer(tensor)
        if producer is not None and producer.op == "get_attr":
            path = str(producer.target)
        if path is not None:
            return self._stored.setdefault(id(self._tensor(path)), Source(path, user))
        if producer is None:
            raise RuntimeError(f"{user} multiplies nothing")
        source = self._flowing.setdefault(producer, Source(None, producer))
        if use is not None:
            source.uses += [f"{name}.{use}" for name in self._labels(user)]
        return source

    def _producer(self, tensor: fx.Node) -> fx.Node:
        return stored(tensor) or self.operations.producer(tensor)

    def _tensor(self, path: str) -> Tensor:
        parent, _, name = path.rpartition(".")
        owner = self.graph.get_submodule(parent)
        found = owner._parameters.get(name, owner._buffers.get(name))
        if not isinstance(found, Tensor) or isinstance(found, nn.UninitializedParameter):
            raise TraceError(f"the weight of layer {parent!r} is not a plain parameter", way_out(owner))
        return found

    def tensor(self, source: Source) -> Tensor:
        """The stored tensor of a source that has a path."""
        return self._tensor(str(source.path))

    def added(self, node: fx.Node, index: Mapping[int, int]) -> set[int]:
        """The decision of an attribute's stored tensor, if it has one."""
        source = self._stored.get(id(attrgetter(str(node.target))(self.graph)))
        return set() if source is None or id(source) not in index else {index[id(source)]}

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """In execution order: a weight where it is first used, an activation where it is produced."""
        weights: dict[fx.Node, list[Source]] = {}
        for source in self._stored.values():
            weights.setdefault(source.node, []).append(source)
        order: list[Source] = []
        for node in self.graph.graph.nodes:
            order += weights.get(node, [])
            order += [self._flowing[node]] if node in self._flowing else []
        return tuple(order)

    @cached_property
    def all(self) -> tuple[Quantizer, ...]:
        """The quantizer of every source, each with a name of its own."""
        candidates = [list(dict.fromkeys(self._names(source))) for source in self.sources]
        primary: dict[str, int] = {}
        for place, names in enumerate(candidates):
            free = next(name for name in names if name not in primary)
            primary[free] = place
        chosen = {place: name for name, place in primary.items()}
        taken = set(primary)
        quantizers = []
        for place, (source, names) in enumerate(zip(self.sources, candidates, strict=True)):
            aliases = tuple(name for name in names if name not in taken)
            taken.update(aliases)
            quantizers.append(self._quantizer(source, chosen[place], aliases))
        return tuple(quantizers)

    def activations_beside(self, chosen: str | int | None) -> set[str]:
        """Names of the activations that are not among those chosen.

        Args:
            chosen: ``"all"``, ``"operands"``, or ``"auto"``, which is one of the two; anything else is none.
        """
        if chosen == "auto":
            attends = any(all(end.path is None for end in product.sources) for product in self.products)
            chosen = "operands" if attends else "all"
        multiplied = {id(source) for product in self.products for source in product.sources}
        return {
            quantizer.name
            for source, quantizer in zip(self.sources, self.all, strict=True)
            if quantizer.kind == "activation"
            and (chosen not in ("all", "operands") or (chosen == "operands" and id(source) not in multiplied))
        }

    def widths(self, product: Product, held: Mapping[str, int]) -> tuple[int, int]:
        """Bits that the operands of a product count with unless they are quantized.

        Args:
            product: of this graph.
            held: name of a quantizer -> bits, where those are not 32.
        """
        left, right = (held.get(self._called[id(source)], FULL_PRECISION) for source in product.sources)
        return left, right

    @cached_property
    def _called(self) -> dict[int, str]:
        return {id(source): q.name for source, q in zip(self.sources, self.all, strict=True)}

    def _quantizer(self, source: Source, name: str, aliases: tuple[str, ...]) -> Quantizer:
        if source.path is None:
            return Quantizer(name, "activation", source.node.name, self.shape(source.node), aliases=aliases)
        shape = tuple(self.tensor(source).shape)
        scales = common(source.scales) if source.scales else (*shape[:1], *[1] * (len(shape) - 1))
        return Quantizer(name, "weight", source.path, shape, scales, aliases)

    def _names(self, source: Source) -> Iterator[str]:
        if source.path is None:
            yield from source.uses
            for name in self._labels(source.node):
                yield f"{name}.output"
            yield f"{source.node.name}.output"
        else:
            yield source.path
            same = id(self.tensor(source))
            for path, tensor in self.graph.named_parameters(remove_duplicate=False):
                if id(tensor) == same:
                    yield path

    def label(self, node: fx.Node) -> str:
        """The name of a layer: its module, the stem of its weight's name, or the function's."""
        return self._labels(node)[0]

    def _labels(self, node: fx.Node) -> list[str]:
        """Names for a node, the nicest first: fx numbers repeated calls, which the path tells apart."""
        full = label(node)
        if node.op in ("call_module", "get_attr"):
            return [full]
        operands = self.operations.operands(node) or ()
        producers = [self._producer(n) for n in operands if n is not None]
        stems = [re.sub(r"[._]weight$", "", str(n.target)) for n in producers if n.op == "get_attr"]
        return [*stems[:1], re.sub(r"_\d+$", "", full), full]

    def shape(self, node: fx.Node) -> tuple[int, ...]:
        """The shape of a node's tensor for one example."""
        shape: tuple[int, ...] = node.meta["shape"]
        if shape[:1] == (self.batch,):
            shape = shape[1:]
        elif shape[1:2] == (self.batch,):  # the sequence comes first
            shape = (shape[0], *shape[2:])
        elif shape and self.batch > 1 and shape[0] % self.batch == 0:  # both in one axis
            shape = (shape[0] // self.batch, *shape[1:])
        return shape or (1,)
