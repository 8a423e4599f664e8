"""Node features that the graph species read (docs/method.md, section 1).

Column by column:

- one column per operation type in the graph: 1 for the nodes of that type, 0 for the others. The type
  of a weight is that of its layer (``conv``, ``depthwise conv``, ``linear``, ...), the type of an
  activation that of what produces it (``relu6``, ``add``, ``input``, ...);
- ``in_channels``: input channels of the layer, input features of a linear layer; of an activation, its
  own channels;
- ``out_channels``: output channels or features of the layer; of an activation, its own channels;
- ``feature_size``: pixels of the layer's input feature map, input features of a linear layer; of an
  activation, its own elements per channel;
- ``kernel_size``: elements of the spatial kernel, 1 for a linear layer, 0 for an activation;
- ``params``: stored weights, 0 for an activation;
- ``stride``: along the first axis, 1 for a linear layer, 0 for an activation;
- ``depthwise``: 1 for a weight with one input channel per group;
- ``is_weight``: 1 for a weight, 0 for an activation.

Each is min-max normalised over the graph. A column without variance is 0 everywhere: it tells nothing,
and dividing by its extent would make it infinite.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nemo_lab.workload.records import Node

GENERAL = ("in_channels", "out_channels", "feature_size", "kernel_size", "params", "stride", "depthwise")


def feature_names(nodes: Sequence[Node]) -> tuple[str, ...]:
    """What each column of ``node_features`` is; operation types as ``"op: conv"``."""
    return (*(f"op: {op}" for op in _ops(nodes)), *GENERAL, "is_weight")


def node_features(nodes: Sequence[Node]) -> NDArray[np.float32]:
    """The features of every node.

    Returns:
        float32[Q, F] in [0, 1], F = operation types in the graph + 8.
    """
    ops = _ops(nodes)
    rows = [
        [
            *(float(node.op == op) for op in ops),
            *(float(getattr(node, feature)) for feature in GENERAL),
            float(node.kind == "weight"),
        ]
        for node in nodes
    ]
    raw = np.asarray(rows, dtype=np.float64)
    low = raw.min(axis=0)
    span = raw.max(axis=0) - low
    return np.where(span > 0, (raw - low) / np.where(span > 0, span, 1), 0).astype(np.float32)


def _ops(nodes: Sequence[Node]) -> list[str]:
    return sorted({node.op for node in nodes})
