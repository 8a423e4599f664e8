"""The workload: a trained network as a graph of bit-width decisions."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from nemo_lab.arguments import Choice, OrNone, Text
from nemo_lab.workload.inputs import Inputs
from nemo_lab.workload.names import Called, NameResolver
from nemo_lab.workload.records import FULL_PRECISION, FullPrecision, Layer, Node, Quantizer, Splits

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn
    from torch.fx import GraphModule


TABLE = Choice(("nodes", "layers", "full_precision"))
NODE_COLUMNS = (
    "index", "kind", "op", "shape", "in_channels", "out_channels", "feature_size", "kernel_size", "stride",
    "params", "macs", "depthwise",
)  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class Workload:
    """A trained network as a graph of bit-width decisions.

    Attributes:
        name: how it is called in tables and titles.
        nodes: every bit-width decision, in execution order; ``len(w.nodes)`` is Q.
        layers: every multiplication with at least one quantized operand.
        full_precision: what has weights or multiply-accumulates but is not quantized.
        topology: int64[2, E], the true data flow between nodes, residual branches included.
        module: the network as given; never modified.
        graph: its trace, called like ``module`` and sharing its weights, but for those that are computed of
            others, such as by weight norm: it holds them.
        example_shapes: of each tensor of the input that the network was traced with.
        traced_by: ``"torch.fx"`` or ``"torch.export"``.
        inputs: how the network is called, learned from the example.
        data: images that come with the workload, if any.
        trained: False if the weights are random, which costs do not mind but accuracy does.
    """

    name: str
    nodes: tuple[Node, ...]
    layers: tuple[Layer, ...]
    full_precision: tuple[FullPrecision, ...]
    topology: NDArray[np.int64]
    module: nn.Module
    graph: GraphModule
    example_shapes: tuple[tuple[int, ...], ...]
    traced_by: str = "torch.fx"
    data: Splits | None = None
    trained: bool = True
    inputs: Inputs = field(default_factory=Inputs)

    @classmethod
    def from_module(
        cls,
        module: nn.Module,
        example_input: Any,
        *,
        name: str | None = None,
        ignore: Called | Iterable[Called] = (),
        tie: Iterable[Called | Iterable[Called]] = (),
        activations: Literal["auto", "all", "operands", 16] | None = "auto",
    ) -> Workload:
        """Trace ``module``; see ``nemo_lab.workload.tracer.trace`` for arguments, errors and warnings."""
        from nemo_lab.workload.tracer import trace  # imports torch

        name = OrNone(Text()).check("name", name)
        traced = trace(module, example_input, name=name, ignore=ignore, tie=tie, activations=activations)
        return cls(
            name=traced.name,
            nodes=traced.nodes,
            layers=traced.layers,
            full_precision=traced.full_precision,
            topology=traced.topology,
            module=module,
            graph=traced.graph,
            example_shapes=traced.example_shapes,
            traced_by=traced.traced_by,
            inputs=traced.inputs,
        )

    def __getstate__(self) -> dict[str, Any]:
        from nemo_lab.workload.pickling import record_of  # imports torch

        return {**self.__dict__, "graph": record_of(self.graph)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        from nemo_lab.workload.pickling import graph_of  # imports torch

        self.__dict__.update(state, graph=graph_of(state["graph"]))

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one example, in full precision too; where unknown they count none."""
        return sum(layer.macs for layer in self.layers) + sum(part.macs or 0 for part in self.full_precision)

    @property
    def params(self) -> int:
        """Stored weights that count in the model size; biases and normalisation do not."""
        return sum(node.params for node in self.nodes) + sum(part.params for part in self.full_precision)

    @cached_property
    def edges(self) -> NDArray[np.int64]:
        """int64[2, Q - 1]: the paper's sequential graph, each node to the next."""
        order = np.arange(len(self.nodes), dtype=np.int64)
        return np.stack([order[:-1], order[1:]])

    @cached_property
    def features(self) -> NDArray[np.float32]:
        """float32[Q, F] in [0, 1]; column by column in ``feature_names``."""
        from nemo_lab.workload.features import node_features

        return node_features(self.nodes)

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """What each column of ``features`` is; see ``nemo_lab.workload.features``."""
        from nemo_lab.workload.features import feature_names

        return feature_names(self.nodes)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The name of every node, in execution order."""
        return tuple(node.name for node in self.nodes)

    @cached_property
    def resolver(self) -> NameResolver:
        """Finds nodes and layers by what people call them."""
        return NameResolver(self.nodes, self.layers)

    def find(self, name: str) -> Node:
        """The node of that name or alias.

        Raises:
            UnknownNameError: if there is none; the hint proposes the nearest name.
        """
        return self.nodes[self.resolver.position(name)]

    def find_quantizer(self, name: str) -> Quantizer:
        """The quantizer of that name or alias; that of a node, unless it is called like another tied to it.

        Raises:
            UnknownNameError: if there is none; the hint proposes the nearest name.
        """
        node = self.nodes[self.resolver.position(name, "quantizer")]
        named = [q for q in node.quantizers if name in (q.name, *q.aliases)]
        return (named or node.quantizers)[0]

    def to_frame(self, of: Literal["nodes", "layers", "full_precision"] = "nodes") -> pd.DataFrame:
        """A table: one row per node (default), per layer, or per part in full precision.

        Raises:
            ArgumentError: if ``of`` is none of the three.
        """
        import pandas as pd

        table = TABLE.check("of", of)
        if table == "nodes":
            columns = list(NODE_COLUMNS)
            rows = [[getattr(node, column) for column in columns] for node in self.nodes]
            return pd.DataFrame(rows, columns=columns, index=pd.Index(self.names, name="node"))
        if table == "layers":
            return pd.DataFrame(
                [
                    [layer.op, *map(self._operand, layer.operands, layer.unquantized), layer.macs]
                    for layer in self.layers
                ],
                columns=["op", "left", "right", "macs"],
                index=pd.Index([layer.name for layer in self.layers], name="layer"),
            )
        parts = pd.DataFrame(
            [[part.op, part.params, part.macs] for part in self.full_precision],
            columns=["op", "params", "macs"],
            index=pd.Index([part.name for part in self.full_precision], name="part"),
        )
        return parts.astype({"macs": "Int64"})  # which has a place for what is unknown

    def _operand(self, index: int | None, bits: int) -> str:
        if index is not None:
            return self.names[index]
        return "(full precision)" if bits == FULL_PRECISION else f"({bits} bits)"

    def summary(self) -> str:
        """One line: decisions, weights and multiply-accumulates."""
        weights = sum(node.kind == "weight" for node in self.nodes)
        line = (
            f"{self.name}: {len(self.nodes)} bit-width decisions ({weights} weights, "
            f"{len(self.nodes) - weights} activations), {self.params:,} weights, {self.macs:,} MACs"
        )
        params = sum(part.params for part in self.full_precision)
        macs = sum(part.macs or 0 for part in self.full_precision if min(part.unquantized) == FULL_PRECISION)
        unknown = sum(part.macs is None for part in self.full_precision)
        if params or macs or unknown:
            line += f"; {params:,} weights and {macs:,} MACs of them stay in full precision"
            line += f", the MACs of {unknown} more parts are unknown" if unknown else ""
        if held := self._held or FULL_PRECISION * (weights == len(self.nodes)):
            line += f"; activations that are not quantized count {held} bits"
        return line if self.trained else f"{line}; random weights"

    @property
    def _held(self) -> int:
        """Bits of the activations that are not quantized, where those are not 32; else 0."""
        parts: tuple[Layer | FullPrecision, ...] = (*self.layers, *self.full_precision)
        held = (bits for part in parts for bits in part.unquantized)
        return min((bits for bits in held if bits < FULL_PRECISION), default=0)

    def __repr__(self) -> str:
        return f"<Workload {self.summary()}>"

    def _repr_html_(self) -> str:
        table = self.to_frame().to_html(max_rows=12)
        return f"<p><b>{html.escape(self.summary())}</b></p>{table}"
