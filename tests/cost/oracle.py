"""The costs in plain NumPy, straight from METHOD section 3, to hold the kernels against."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def model_ratio(bits: Any, weights: Any, params: Any) -> NDArray[np.float64]:
    """sum_w(params_w * b_w) / sum_w(params_w * 32)."""
    b, p = np.asarray(bits, dtype=np.float64), np.asarray(params, dtype=np.float64)
    return np.asarray((b[:, weights] * p).sum(axis=1) / (32 * p.sum()))


def bitop_ratio(bits: Any, weights: Any, activations: Any, macs: Any, bitops: str) -> NDArray[np.float64]:
    """sum_l(MAC_l * max(b_w, b_a)) over 32, or sum_l(MAC_l * b_w * b_a) over 1024."""
    b, m = np.asarray(bits, dtype=np.float64), np.asarray(macs, dtype=np.float64)
    w, a = b[:, weights], b[:, activations]
    width, full = (w * a, 1024) if bitops == "product" else (np.maximum(w, a), 32)
    return np.asarray((m * width).sum(axis=1) / (full * m.sum()))
