"""Node features that the graph species read (METHOD section 1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nemo_lab.workload.records import Node

GENERAL_FEATURES = (
    "in_channels",
    "out_channels",
    "feature_size",
    "kernel_size",
    "params",
    "stride",
    "depthwise",
)


def node_features(nodes: Sequence[Node]) -> NDArray[np.float32]:
    """One-hot operation type, the general features, and a flag for weights.

    Each column is min-max normalised over the graph; a column without variance becomes 0.

    Returns:
        float32[Q, F] in [0, 1], F = operation types in the graph + 8.
    """
    ops = sorted({node.op for node in nodes})
    rows = [
        [
            *(float(node.op == op) for op in ops),
            *(float(getattr(node, feature)) for feature in GENERAL_FEATURES),
            float(node.kind == "weight"),
        ]
        for node in nodes
    ]
    raw = np.asarray(rows, dtype=np.float64)
    low = raw.min(axis=0)
    span = raw.max(axis=0) - low
    return np.where(span > 0, (raw - low) / np.where(span > 0, span, 1), 0).astype(np.float32)
