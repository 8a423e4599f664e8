"""The checked front of the cost kernels."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from nemo_lab.errors import ArgumentError, BitWidthError
from nemo_lab.workload.records import Workload

BitOps = Literal["max", "product"]
COST_NAMES = ("model_ratio", "bitop_ratio")
FULL_PRECISION = 32


class CostModel:
    """Exact costs of bit-width configurations, as ratios to the 32-bit network.

    Args:
        workload: whose layers are counted.
        bitops: ``"max"``: a MAC costs the wider of its two operands (the paper's linear form);
            ``"product"``: the product of both widths (HAQ, HAWQ). METHOD section 3.

    Raises:
        ArgumentError: if ``bitops`` is neither.

    >>> from nemo_lab import load_workload
    >>> costs = CostModel(load_workload("digits"))
    >>> costs.evaluate([[8] * 36]).tolist()
    [[0.25, 0.25]]
    """

    cost_names = COST_NAMES

    def __init__(self, workload: Workload, bitops: BitOps = "max") -> None:
        if bitops not in get_args(BitOps):
            raise ArgumentError(f"no bit-operations model {bitops!r}", "use 'max' or 'product'")
        self.workload = workload
        self.bitops = bitops
        weights = [node for node in workload.nodes if node.kind == "weight"]
        self._weights = np.array([node.index for node in weights], dtype=np.int64)
        self._params = np.array([node.params for node in weights], dtype=np.float64)
        self._layer_weights = np.array([layer.weight for layer in workload.layers], dtype=np.int64)
        self._layer_inputs = np.array([layer.activation for layer in workload.layers], dtype=np.int64)
        self._macs = np.array([layer.macs for layer in workload.layers], dtype=np.float64)

    def uniform(self, width: int) -> tuple[float, float]:
        """Both ratios of the network with one width everywhere, in closed form."""
        ratio = width / FULL_PRECISION
        return ratio, ratio * ratio if self.bitops == "product" else ratio

    def evaluate(self, bits: Any) -> NDArray[np.float64]:
        """Model ratio and bit-operation ratio of every configuration.

        Args:
            bits: integers[N, Q] or [Q], each 1 to 32.

        Returns:
            float64[N, 2].

        Raises:
            BitWidthError: on a wrong shape, fractions, or widths outside 1 to 32.
        """
        from nemo_lab.cost.kernels import bitop_ratio, model_ratio

        checked = as_bits(bits, len(self.workload.nodes))
        return np.column_stack(
            [
                model_ratio(checked, self._weights, self._params),
                bitop_ratio(
                    checked, self._layer_weights, self._layer_inputs, self._macs, self.bitops == "product"
                ),
            ]
        )


def as_bits(bits: Any, num_nodes: int, allowed: tuple[int, ...] | None = None) -> NDArray[np.uint8]:
    """Check configurations and bring them to contiguous uint8[N, Q].

    Raises:
        BitWidthError: on a wrong shape, fractions, or widths that are not allowed.
    """
    way_out = f"give one width for each of the {num_nodes} nodes"
    try:
        array = np.asarray(bits)
    except ValueError as error:
        raise BitWidthError("bits have rows of different lengths", way_out) from error
    if array.ndim == 1:
        array = array[None]
    if array.ndim != 2 or array.shape[1] != num_nodes:
        raise BitWidthError(f"bits have shape {np.shape(bits)}", way_out)
    if array.dtype.kind not in "iu" and not (
        array.dtype.kind == "f" and bool(np.all(array == np.round(array)))
    ):
        raise BitWidthError(f"bits of type {array.dtype} are not whole numbers", "give integers")
    permitted = np.asarray(allowed if allowed is not None else range(1, 33))
    wrong = ~np.isin(array, permitted)
    if wrong.any():
        value = array[wrong][0]
        choice = ", ".join(map(str, allowed)) if allowed is not None else "1 to 32"
        raise BitWidthError(f"bit-width {value} is not allowed", f"choose from {choice}")
    return np.ascontiguousarray(array, dtype=np.uint8)
