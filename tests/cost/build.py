"""Workloads written by hand: what costs need of a traced network, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from nemo_lab import Workload
from nemo_lab.workload.records import FullPrecision, Kind, Layer, Node, Quantizer

Operands = tuple[int | None, int | None]


def node(
    index: int,
    params: int = 0,
    *,
    channels: Sequence[int] = (1,),
    name: str = "",
    aliases: tuple[str, ...] = (),
) -> Node:
    """A weight if it has params, with one quantizer for each of ``channels``."""
    kind: Kind = "weight" if params else "activation"
    name = name or f"n{index}.{kind}"
    quantizers = tuple(
        Quantizer(f"{name}:{i}" if i else name, kind, name, (count,), (count,))
        for i, count in enumerate(channels)
    )
    return Node(index, name, kind, "conv", (1,), 1, 1, 1, 1, 1, params, 0, False, quantizers, aliases)


def workload(
    nodes: Sequence[Node], layers: Sequence[tuple[Operands, int]], kept: Sequence[tuple[int, int]] = ()
) -> Workload:
    """Layers are (operands, macs), ``kept`` are (params, macs) in full precision."""
    nothing = cast("Any", None)
    return Workload(
        "by hand",
        tuple(nodes),
        tuple(Layer(f"l{i}", "conv", operands, macs) for i, (operands, macs) in enumerate(layers)),
        tuple(FullPrecision(f"f{i}", "lstm", *sizes) for i, sizes in enumerate(kept)),
        np.empty((2, 0), dtype=np.int64),
        nothing,
        nothing,
        ((1, 1),),
    )


def chain(num_layers: int) -> Workload:
    """Activation, weight, activation, weight, ...: each weight meets the activation before it."""
    nodes = [node(i, params=(i * 37) % 101 * 9 if i % 2 else 0) for i in range(2 * num_layers)]
    return workload(nodes, [((2 * i + 1, 2 * i), 1000 + 777 * i) for i in range(num_layers)])
