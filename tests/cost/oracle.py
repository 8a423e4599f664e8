"""The costs in plain NumPy, straight from the records, to hold the kernels against."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab import Workload


def model_bits(workload: Workload, bits: Any, scales: str = "none") -> NDArray[np.float64]:
    """Bits stored: integers[N, Q] -> float64[N]."""
    b = np.asarray(bits, dtype=np.float64)
    total = np.zeros(len(b))
    for node in workload.nodes:
        width = b[:, node.index]
        total += node.params * width
        for quantizer in node.quantizers:
            if scales == "per_tensor" or (scales == "per_channel" and quantizer.kind == "activation"):
                total += 32 + width
            elif scales == "per_channel":
                total += quantizer.channels * (32 + width)
    for part in workload.full_precision:
        total += part.params * 32
    return total


def bit_operations(workload: Workload, bits: Any, bitops: str) -> NDArray[np.float64]:
    """Bit-operations for one example: integers[N, Q] -> float64[N]."""
    b = np.asarray(bits, dtype=np.float64)
    total = np.zeros(len(b))
    for layer in workload.layers:
        left, right = (np.full(len(b), 32.0) if end is None else b[:, end] for end in layer.operands)
        total += layer.macs * (left * right if bitops == "product" else np.maximum(left, right))
    for part in workload.full_precision:
        total += part.macs * (32 * 32 if bitops == "product" else 32)
    return total


def ratios(workload: Workload, bits: Any, bitops: str, scales: str = "none") -> NDArray[np.float64]:
    """float64[N, 2]: both ratios to the network in full precision."""
    params = sum(node.params for node in workload.nodes) + sum(p.params for p in workload.full_precision)
    macs = sum(layer.macs for layer in workload.layers) + sum(p.macs for p in workload.full_precision)
    size = model_bits(workload, bits, scales) / (32 * params)
    work = bit_operations(workload, bits, bitops) / ((1024 if bitops == "product" else 32) * macs)
    return np.column_stack([size, work])
