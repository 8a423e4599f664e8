"""The obvious, slow evaluator: docs/method.md, section 2 over the traced graph, a tensor at a time."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from nemo_lab import Workload

Range = tuple[float, float]


def quantized(x: Tensor, low: float, high: float, bits: int) -> Tensor:
    """s, z, q and x_hat, letter by letter, in the strides of ``x``."""
    low, high = min(low, 0.0), max(high, 0.0)
    s = (high - low) / (2**bits - 1)
    if s == 0:
        return x * 0
    z = round(-(2 ** (bits - 1)) - low / s)
    q = torch.clamp(torch.round(x / s) + z, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return torch.empty_like(x).copy_((q - z) * s)


def folded(graph: fx.GraphModule) -> fx.GraphModule:
    """A copy whose batch norms moved into the conv before them: W g / sigma, (b - mean) g / sigma + beta."""
    graph = copy.deepcopy(graph).eval().requires_grad_(False)
    modules = dict(graph.named_modules())
    for node in graph.graph.nodes:
        norm = modules.get(str(node.target)) if node.op == "call_module" else None
        if not isinstance(norm, nn.BatchNorm2d):
            continue
        before = node.all_input_nodes[0]
        conv = modules.get(str(before.target)) if before.op == "call_module" else None
        if not isinstance(conv, nn.Conv2d) or len(before.users) > 1:
            continue
        rate = torch.rsqrt(norm.running_var + norm.eps)
        dead = norm.running_var < 1e-10  # a constant, whatever the share
        bias = torch.zeros_like(rate) if conv.bias is None else conv.bias
        bias = torch.where(dead, norm.bias, (bias - norm.running_mean) * rate * norm.weight + norm.bias)
        weight = conv.weight * torch.where(dead, 0.0, norm.weight * rate).reshape(-1, 1, 1, 1)
        conv.weight, conv.bias = nn.Parameter(weight, False), nn.Parameter(bias, False)
        graph.set_submodule(str(node.target), nn.Identity())
    return graph


class Reference(fx.Interpreter):
    """Runs the graph node by node; what is quantized is rounded where the workload says."""

    def __init__(self, workload: Workload, channels_last: bool = False) -> None:
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        super().__init__(folded(workload.graph))
        for parameter in self.module.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.clone(memory_format=self.layout)
        quantizers = [(node, q) for node in workload.nodes for q in node.quantizers]
        self.column = {q.source: node.index for node, q in quantizers}
        self.activations = {q.source for _, q in quantizers if q.kind == "activation"}
        self.full = {q.source: self.fetch_attr(q.source).data for _, q in quantizers if q.kind == "weight"}
        self.ranges: dict[str, Range] = {}
        self.seen: dict[str, list[Range]] | None = None
        self.bits: Any = None

    def run_node(self, n: fx.Node) -> Any:
        """One node, and its rounding."""
        result = super().run_node(n)
        if n.name in self.activations:
            if self.seen is not None:
                self.seen.setdefault(n.name, []).append((float(result.min()), float(result.max())))
            elif self.bits is not None:
                return quantized(result, *self.ranges[n.name], int(self.bits[self.column[n.name]]))
        return result

    def calibrate(self, batches: Iterable[Tensor]) -> None:
        """Range of each activation: the mean over batches of the batch minimum and maximum."""
        self.seen = {}
        for batch in batches:
            self(batch, None)
        means = {name: np.mean(extremes, axis=0) for name, extremes in self.seen.items()}
        self.ranges = {name: (float(low), float(high)) for name, (low, high) in means.items()}
        self.seen = None

    def __call__(self, inputs: Tensor, bits: Sequence[int] | None) -> Any:
        """The output at the widths ``bits``, in full precision on None."""
        self.bits = bits
        for path, full in self.full.items():
            width = None if bits is None else int(bits[self.column[path]])
            low, high = float(full.min()), float(full.max())
            self.fetch_attr(path).data = full if width is None else quantized(full, low, high, width)
        with torch.no_grad():
            return self.run(
                inputs.clone(memory_format=self.layout if inputs.ndim == 4 else torch.preserve_format)
            )
