"""Frozen records of a workload: what is quantized, and what it costs."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from nemo_lab.errors import DataError, UnknownNameError

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn
    from torch.fx import GraphModule

Kind = Literal["weight", "activation"]


@dataclass(frozen=True)
class Node:
    """One quantizer, that is one bit-width decision (METHOD section 1).

    Attributes:
        index: position in execution order, the column of this node in every bits array.
        name: module path with ``.weight``, ``.input`` (tensor named after its first consumer)
            or ``.output`` (tensor that no module consumes, named after its producer).
        kind: ``"weight"`` or ``"activation"``.
        op: operation type: of the layer for a weight, of the producer for an activation.
        shape: of the weight tensor, or of the activation for one example.
        in_channels, out_channels: channels; both the tensor's own for an activation.
        feature_size: elements per channel of the (input) feature map; input features of a linear.
        kernel_size: elements of the spatial kernel, 1 for a linear layer, 0 for an activation.
        stride: of the layer, 1 for a linear layer, 0 for an activation.
        params: weights of the layer without bias, 0 for an activation.
        macs: multiply-accumulates of the layers that use this tensor, one example.
        depthwise: whether the layer has one input channel per group.
        source: where the tensor comes from in the traced graph: module path or fx node name.
        aliases: further names that mean this node.
    """

    index: int
    name: str
    kind: Kind
    op: str
    shape: tuple[int, ...]
    in_channels: int
    out_channels: int
    feature_size: int
    kernel_size: int
    stride: int
    params: int
    macs: int
    depthwise: bool
    source: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layer:
    """A layer whose MACs count: which weight meets which activation.

    Attributes:
        name: module path.
        weight: node index of its weights.
        activation: node index of its input.
        macs: multiply-accumulates for one example.
        params: weights, bias not counted.
    """

    name: str
    weight: int
    activation: int
    macs: int
    params: int


@dataclass(frozen=True)
class Split:
    """Labelled examples: ``inputs`` float32[N, ...], ``labels`` int64[N]."""

    inputs: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.labels):
            raise DataError(
                f"{len(self.inputs)} inputs but {len(self.labels)} labels", "give one label per input"
            )
        if len(self.inputs) == 0:
            raise DataError("the data set is empty", "give at least one example")

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Splits:
    """The images of an embedded workload: training images to calibrate on, and two test splits."""

    calibration: Split
    search: Split
    held_out: Split
    classes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Workload:
    """A trained network as a graph of quantizers.

    Attributes:
        name: how it is called in tables and titles.
        nodes: every bit-width decision, in execution order; ``len(w.nodes)`` is Q.
        layers: every layer whose multiply-accumulates count.
        topology: int64[2, E], the true data flow between nodes, residual branches included.
        module: the network as given; never modified.
        graph: its torch.fx trace, sharing the weights of ``module``.
        example_shape: shape of one input batch the network was traced with.
        data: images that come with the workload, if any.
    """

    name: str
    nodes: tuple[Node, ...]
    layers: tuple[Layer, ...]
    topology: NDArray[np.int64] = field(repr=False)
    module: nn.Module = field(repr=False)
    graph: GraphModule = field(repr=False)
    example_shape: tuple[int, ...]
    data: Splits | None = field(default=None, repr=False)

    @classmethod
    def from_module(cls, module: nn.Module, example_input: Any, *, name: str | None = None) -> Workload:
        """Trace ``module`` with torch.fx; see ``nemo_lab.workload.tracer.trace``."""
        from nemo_lab.workload.tracer import trace

        return trace(module, example_input, name=name)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all layers for one example."""
        return sum(layer.macs for layer in self.layers)

    @property
    def params(self) -> int:
        """Quantized weights of all layers, biases and batch norms not counted."""
        return sum(node.params for node in self.nodes)

    @cached_property
    def edges(self) -> NDArray[np.int64]:
        """int64[2, Q - 1]: the paper's sequential graph, each node to the next."""
        order = np.arange(len(self.nodes), dtype=np.int64)
        return np.stack([order[:-1], order[1:]])

    @cached_property
    def features(self) -> NDArray[np.float32]:
        """float32[Q, F] in [0, 1]; see ``nemo_lab.workload.features``."""
        from nemo_lab.workload.features import node_features

        return node_features(self.nodes)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The name of every node, in execution order."""
        return tuple(node.name for node in self.nodes)

    def find(self, name: str) -> Node:
        """The node of that name or alias.

        Raises:
            UnknownNameError: if there is none; the hint proposes the nearest name.
        """
        for node in self.nodes:
            if name == node.name or name in node.aliases:
                return node
        raise UnknownNameError("node", name, [n for node in self.nodes for n in (node.name, *node.aliases)])

    def to_frame(self) -> pd.DataFrame:
        """One row per node, indexed by name."""
        import pandas as pd

        columns = [
            "index",
            "kind",
            "op",
            "shape",
            "in_channels",
            "out_channels",
            "feature_size",
            "kernel_size",
            "stride",
            "params",
            "macs",
            "depthwise",
        ]
        rows = [[getattr(node, column) for column in columns] for node in self.nodes]
        return pd.DataFrame(rows, columns=columns, index=pd.Index(self.names, name="node"))

    def summary(self) -> str:
        """One line: decisions, weights and multiply-accumulates."""
        weights = sum(node.kind == "weight" for node in self.nodes)
        return (
            f"{self.name}: {len(self.nodes)} bit-width decisions ({weights} weights, "
            f"{len(self.nodes) - weights} activations), {self.params:,} weights, {self.macs:,} MACs"
        )

    def _repr_html_(self) -> str:
        return f"<p><b>{html.escape(self.summary())}</b></p>{self.to_frame().to_html(max_rows=12)}"
