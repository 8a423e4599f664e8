"""Frozen records of a workload: what is quantized, what is not, and what it costs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nemo_lab.errors import DataError

Kind = Literal["weight", "activation"]
FULL_PRECISION = 32  # bits of a number that nothing else is said of


@dataclass(frozen=True)
class Quantizer:
    """One place where numbers are rounded: a stored tensor, or a tensor that flows.

    Attributes:
        name: unique in the workload. A weight is called like its parameter
            (``"layer1.0.conv1.weight"``), an activation after its first consumer
            (``"layer1.0.conv1.input"``), or after its producer (``"layer1.0.bn2.output"``) if no
            layer consumes it.
        kind: ``"weight"`` (stored, its range is known) or ``"activation"`` (needs calibration).
        source: where it is in the traced graph: the path of a parameter or buffer for a weight, the
            name of the fx node that produces the tensor for an activation.
        shape: of the stored tensor, or of the activation for one example.
        scales: how many scales lie along each axis of ``shape`` if a weight is quantized per channel, such
            as (8, 1, 1, 1), see ``nemo_lab.workload.channels``; () for an activation, which has one.
        aliases: further names that mean this quantizer.
    """

    name: str
    kind: Kind
    source: str
    shape: tuple[int, ...]
    scales: tuple[int, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def channels(self) -> int:
        """Output channels of a weight, of all its groups and experts: its scales if quantized per channel."""
        return math.prod(self.scales)


@dataclass(frozen=True)
class Node:
    """One bit-width decision (docs/method.md, section 1): one quantizer, or several that are tied.

    Attributes:
        index: position in execution order, the column of this node in every bits array.
        name: the name of its first quantizer.
        kind: ``"weight"`` or ``"activation"``, that of its first quantizer.
        op: operation type: of the layer for a weight, of the producer for an activation.
        shape: of the first quantizer.
        in_channels, out_channels: channels; both the tensor's own for an activation.
        feature_size: elements per channel of the (input) feature map; input features of a linear.
        kernel_size: elements of the spatial kernel, 1 for a linear layer, 0 for an activation.
        stride: of the layer, 1 for a linear layer, 0 for an activation.
        params: stored numbers, biases not counted, 0 for an activation; summed over tied weights.
        macs: multiply-accumulates of the layers that use these tensors, for one example.
        depthwise: whether the layer has one input channel per group.
        quantizers: what the decision sets; one, unless nodes were tied.
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
    quantizers: tuple[Quantizer, ...]
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layer:
    """A multiplication whose MACs count: one call of a conv, a linear layer or a matrix product.

    Attributes:
        name: path of the module, or of the function call inside its module.
        op: operation type, such as ``"conv"``, ``"linear"`` or ``"matmul"``.
        operands: node indices of the two tensors that meet, the weight first if there is one;
            None where a tensor is not quantized.
        macs: multiply-accumulates for one example.
        unquantized: bits that either operand counts with where it is None.
    """

    name: str
    op: str
    operands: tuple[int | None, int | None]
    macs: int
    unquantized: tuple[int, int] = (FULL_PRECISION, FULL_PRECISION)


@dataclass(frozen=True)
class FullPrecision:
    """Something that is not quantized; it counts with 32 bits in every cost where nothing else is said.

    Attributes:
        name: path of the module, parameter or function call.
        op: operation type, such as ``"lstm"``.
        params: stored numbers that stay as they are.
        macs: multiply-accumulates between two operands in full precision, for one example; None if nothing
            tells how many, as of somebody's own operation. Costs count none then.
        bits: of each stored number, on average; less than 32 of weights that came packed in fewer.
        unquantized: bits that the two operands of a multiply-accumulate count with.
    """

    name: str
    op: str
    params: int
    macs: int | None
    bits: float = FULL_PRECISION
    unquantized: tuple[int, int] = (FULL_PRECISION, FULL_PRECISION)


@dataclass(frozen=True)
class Split:
    """Labelled examples: ``inputs`` float32[N, ...] or token numbers int64[N, T], ``labels`` int64 alike.

    Of images ``labels`` are int64[N], of text int64[N, T]: the token after each.
    """

    inputs: NDArray[Any]
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
    """The data of an embedded workload.

    Attributes:
        calibration: examples of the training set, to calibrate on.
        search, held_out: examples that nobody trained on, to search with and to validate with.
        classes: the name of each class; of text each character.
        metric: what is measured on them unless told otherwise.
    """

    calibration: Split
    search: Split
    held_out: Split
    classes: tuple[str, ...]
    metric: str = "top1"
