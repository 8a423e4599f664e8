"""What a workload's costs are made of, as arrays that the cost kernels read.

    size = stored + sum over nodes q of params[q] * b_q
    work = done + sum over layers l of macs[l] * f(b_left(l), b_right(l)),   f being max or the product

(arXiv 2106.07611 for the maximum; HAQ and HAWQ for the product). What is not quantized counts 32 bits, or
what it is known to have: weights that came packed in fewer, activations that are held at 16. MACs that nobody
knows count none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nemo_lab.errors import ArgumentError
from nemo_lab.workload.records import FULL_PRECISION
from nemo_lab.workload.workload import Workload

BitOps = Literal["max", "product"]
Scales = Literal["none", "per_tensor", "per_channel"]
Storage = Literal["weights", "payload"]


@dataclass(frozen=True, eq=False)
class Counts:
    """The coefficients of both costs. All are whole numbers, so sums below 2**53 are exact in any order.

    Attributes:
        params: float64[Q], numbers of each node that are stored at its width.
        operands: int64[L, 2], the two nodes that meet in a layer; minus its bits for what is not quantized.
        macs: float64[L], multiply-accumulates of each layer.
        constants: float64[2], bits stored and bit-operations done whatever the configuration.
        full: float64[2], bits stored and bit-operations done in full precision.
    """

    params: NDArray[np.float64]
    operands: NDArray[np.int64]
    macs: NDArray[np.float64]
    constants: NDArray[np.float64]
    full: NDArray[np.float64]


def count(
    workload: Workload, bitops: BitOps, storage: Storage, scales: Scales, fold: bool, equalize: bool
) -> Counts:
    """Read the coefficients off a workload; for the arguments see ``CostModel``.

    Raises:
        ArgumentError: if the workload has no weights or no multiply-accumulates: no ratio is defined.
    """
    for what, total in (("weights", workload.params), ("multiply-accumulates", workload.macs)):
        if total == 0:
            raise ArgumentError(
                f"workload {workload.name!r} has no {what}, so a ratio of them is not defined",
                "trace a network with at least one convolution or linear layer",
            )
    per_mac: Callable[[Iterable[int]], int] = max if bitops == "max" else math.prod
    widest = (FULL_PRECISION, FULL_PRECISION)
    stored = sum(round(part.params * part.bits) for part in workload.full_precision)
    full = FULL_PRECISION * workload.params
    if storage == "payload":
        from nemo_lab.workload.beside import beside_weights  # imports torch

        beside = beside_weights(workload, fold, equalize)
        full = FULL_PRECISION * sum(node.params for node in workload.nodes) + beside.full
        stored = beside.stored
    done = sum((part.macs or 0) * per_mac(part.unquantized) for part in workload.full_precision)
    params = [node.params for node in workload.nodes]
    for node in workload.nodes if scales != "none" else ():
        for quantizer in node.quantizers:
            copies = quantizer.channels if scales == "per_channel" and quantizer.kind == "weight" else 1
            stored += FULL_PRECISION * copies  # scales
            params[node.index] += copies  # zero points, integers of the node's width
    operands = [
        [
            -bits if node is None else node
            for node, bits in zip(layer.operands, layer.unquantized, strict=True)
        ]
        for layer in workload.layers
    ]
    return Counts(
        np.array(params, dtype=np.float64),
        np.array(operands, dtype=np.int64).reshape(-1, 2),
        np.array([layer.macs for layer in workload.layers], dtype=np.float64),
        np.array([stored, done], dtype=np.float64),
        np.array([full, per_mac(widest) * workload.macs], dtype=np.float64),
    )
