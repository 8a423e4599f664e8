"""The integers that every tensor of a configuration is rounded to, as tools that simulate them are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nemo_lab.quantize.affine import Affine
from nemo_lab.quantize.network import QuantizedNetwork
from nemo_lab.workload.records import Kind
from nemo_lab.workload.workload import Workload


@dataclass(frozen=True, eq=False)
class Grid:
    """x_hat = clip(round(x / scales), lows, highs) * scales.

    Attributes:
        name: of the quantizer.
        kind: ``"weight"`` or ``"activation"``.
        bits: its width.
        scales: float32, in the shape () for one range, else of as many axes as the tensor.
        lows, highs: whole numbers as float32, in the same shape; 2^bits of them, or one less if symmetric.
    """

    name: str
    kind: Kind
    bits: int
    scales: NDArray[np.float32]
    lows: NDArray[np.float32]
    highs: NDArray[np.float32]

    @property
    def symmetric(self) -> bool:
        """Whether every range reaches as far below zero as above."""
        return bool((self.lows == -self.highs).all())

    @property
    def narrow(self) -> bool:
        """Whether one of the 2^bits integers is left out in a range."""
        return bool((self.highs - self.lows < 2**self.bits - 1).any())

    @property
    def signed(self) -> bool:
        """Whether they are the signed integers of that width, or all of these but the lowest."""
        highest = 2 ** (self.bits - 1) - 1
        return bool(
            (self.highs == highest).all()
            and any((self.lows == low).all() for low in (-highest, -highest - 1))
        )


def of_quantizers(workload: Workload, widths: Mapping[str, int]) -> dict[str, int]:
    """The width of every quantizer, by name, where a node gives its width to all that it has."""
    return {one.name: widths[node.name] for node in workload.nodes for one in node.quantizers}


def grids(network: QuantizedNetwork, widths: Mapping[str, int]) -> dict[str, Grid]:
    """That of every quantizer, by its name and in the order of the nodes.

    Args:
        network: calibrated.
        widths: of every node, by name.
    """
    found, widths = {}, of_quantizers(network.workload, widths)
    for one in (one for node in network.workload.nodes for one in node.quantizers):
        bits, is_weight = widths[one.name], one.kind == "weight"
        shape = tuple(network.weights.scales_of(one.name)) if is_weight else ()
        scales, lows, highs = (
            np.array(network.quantizers(one, bits), dtype=np.float32).reshape(-1, len(Affine._fields)).T
        )
        found[one.name] = Grid(
            one.name, one.kind, bits, *(part.reshape(shape) for part in (scales, lows, highs))
        )
    return found
