"""What stays in full precision: because the user ignores it, or because it cannot be quantized."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, fx, nn

from nemo_lab.workload.nodes import label, reads_numbers
from nemo_lab.workload.operations import Operations
from nemo_lab.workload.quantization_points import Quantizers
from nemo_lab.workload.records import FULL_PRECISION, FullPrecision
from nemo_lab.workload.uncounted import packed

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)


def left_in_full_precision(quantizers: Quantizers, left_out: Mapping[str, int]) -> tuple[FullPrecision, ...]:
    """What is not a decision because the user says so: name of a quantizer -> bits that it counts with.

    Weights count as they are stored.
    """
    parts = _Parts()
    ignored = {id(s) for s, q in zip(quantizers.sources, quantizers.all, strict=True) if q.name in left_out}
    for source in quantizers.sources:
        if source.path is not None and id(source) in ignored:
            op = quantizers.operations.op(source.node)
            tensor = quantizers.tensor(source)
            parts.add(quantizers.label(source.node), op, tensor.numel(), 0, _bits(tensor))
    for product in quantizers.products:
        if all(id(source) in ignored for source in product.sources):
            op = quantizers.operations.op(product.node)
            held = quantizers.widths(product, left_out)
            parts.add(quantizers.label(product.node), op, 0, product.macs, unquantized=held)
    return parts.all()


def not_quantizable(quantizers: Quantizers, module: nn.Module) -> tuple[FullPrecision, ...]:
    """What has weights or multiply-accumulates, known or not, and no quantizer stands for.

    Args:
        quantizers: of the graph.
        module: the network it was traced from.
    """
    parts = _Parts()
    owners = _Owners(quantizers.operations, module)
    known = {product.node for product in quantizers.products}
    seen = {id(quantizers.tensor(source)) for source in quantizers.sources if source.path is not None}
    for node in quantizers.graph.graph.nodes:
        if node.meta.get("uncounted") or (node.meta.get("macs", 0) and node not in known):
            macs = None if node.meta.get("uncounted") else node.meta["macs"]
            parts.add(*owners.of(label(node), node), 0, macs)
        for path, tensor in owners.weights(node, quantizers.graph):
            if id(tensor) not in seen:
                parts.add(*owners.of(path, node), tensor.numel(), 0, _bits(tensor))
                seen.add(id(tensor))
        for tensor, bits in owners.packed(node, quantizers.graph):
            parts.add(*owners.of(label(node), node), tensor.numel(), 0, bits)
    return parts.all()


class _Owners:
    """Under which part of a network its weights and products are listed."""

    def __init__(self, operations: Operations, module: nn.Module) -> None:
        self.operations = operations
        self.modules: Mapping[str, nn.Module] = dict(module.named_modules())

    def weights(self, node: fx.Node, graph: fx.GraphModule) -> list[tuple[str, Tensor]]:
        """Weights, biases not counted, that a node reads from the module it calls or as an attribute."""
        module = self.operations.module(node)
        if module is not None:
            named = [(f"{node.target}.{name}", p) for name, p in module.named_parameters()]
        elif node.op == "get_attr" and any(reads_numbers(user, node) for user in node.users):
            named = [(str(node.target), attrgetter(str(node.target))(graph))]
            owner = str(node.target).rpartition(".")[0]
            if isinstance(self.modules.get(owner), torch.jit.ScriptModule):  # held as a whole
                named = [(f"{owner}.{name}", p) for name, p in self.modules[owner].named_parameters()]
        else:
            return []
        return [(path, p) for path, p in named if isinstance(p, nn.Parameter) and _is_weight(p)]

    def packed(self, node: fx.Node, graph: fx.GraphModule) -> list[tuple[Tensor, int]]:
        """Weights that only quantized operations can read, as this one does, and in how many bits each."""
        holder: Any = self.operations.module(node)
        if node.op == "get_attr":
            holder = attrgetter(str(node.target))(graph)
        return [(tensor, bits) for tensor, bits in packed(holder) if _is_weight(tensor)]

    def of(self, path: str, node: fx.Node) -> tuple[str, str]:
        """The name and operation type under which a part is listed: its module of torch.nn, or itself.

        Weights that an operation reads of which nobody knows what it does are listed with that.
        """
        if node.op == "call_module":
            return str(node.target), self.operations.op(node)
        reader = next((user for user in node.users if user.meta.get("uncounted")), None)
        if node.op == "get_attr" and reader is not None:
            return self.of(label(reader), reader)
        parent = path.rpartition(".")[0]
        module = self.modules.get(parent)
        own = type(module).__module__.startswith(("torch.nn.", "torch.jit."))
        if parent and own and not isinstance(module, CONTAINERS):
            return parent, type(module).__name__.lower()
        return path, self.operations.op(node)


def _is_weight(tensor: Tensor) -> bool:
    """Whether a stored tensor is more than a bias, or another vector."""
    return tensor.numel() > max(tensor.shape, default=1)


def _bits(tensor: Tensor) -> int:
    """In which a number is stored: 32, or 16 in half precision."""
    return min(FULL_PRECISION, 8 * tensor.itemsize)


class _Parts:
    """Adds up what belongs to the same part."""

    def __init__(self) -> None:
        self.found: dict[str, FullPrecision] = {}

    def add(
        self,
        name: str,
        op: str,
        params: int,
        macs: int | None,
        bits: float = FULL_PRECISION,
        unquantized: tuple[int, int] | None = None,
    ) -> None:
        """Count weights of ``bits`` bits each, and multiply-accumulates, under a name."""
        before = self.found.get(name, FullPrecision(name, op, 0, 0))
        both = before.params + params
        self.found[name] = FullPrecision(
            name,
            before.op,
            both,
            None if before.macs is None or macs is None else before.macs + macs,
            (before.params * before.bits + params * bits) / both if both else before.bits,
            unquantized or before.unquantized,
        )

    def all(self) -> tuple[FullPrecision, ...]:
        """One record a part."""
        return tuple(self.found.values())
