"""What a network stores beside the weights that are decisions: biases, norms, tables and other tensors.

A batch norm that is folded leaves a bias in its convolution, and nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from torch import Tensor, fx, nn

from nemo_lab.workload.operations import BATCH_NORMS, CONVOLUTIONS
from nemo_lab.workload.records import FULL_PRECISION
from nemo_lab.workload.uncounted import packed
from nemo_lab.workload.workload import Workload


@dataclass(frozen=True)
class Beside:
    """Bits of everything but the weights that are decisions.

    Attributes:
        stored: as the quantized network holds them: real numbers in 32 bits, integers in their own type.
        full: the same in the network of float32: weights that came packed in fewer bits have 32, too.
    """

    stored: int
    full: int


def beside_weights(workload: Workload, fold: bool) -> Beside:
    """What a workload stores beside its weights, every tensor once.

    Args:
        workload: traced.
        fold: whether batch norms are folded into the convolutions before them.
    """
    graph = workload.graph
    training = {graph.get_submodule(path) for path in graph.meta.get("training", ())}
    paths = [one.source for node in workload.nodes for one in node.quantizers if one.kind == "weight"]
    weights = {id(attrgetter(path)(graph)) for path in paths}
    folded = foldable(graph, training) if fold else {}
    nodes = [node for node in graph.graph.nodes if node not in folded]
    held = {id(one): one for node in nodes for one in tensors_held(graph, node) if id(one) not in weights}
    known = sum(tensor.numel() * _bits(tensor) for tensor in held.values())
    for conv in {_called(graph, node, CONVOLUTIONS) for node in folded.values()}:
        known += FULL_PRECISION * conv.out_channels * (conv.bias is None)  # it gets one
    holders = {id(one): one for one in (_holder(graph, node) for node in nodes) if one is not None}
    others = [
        (tensor.numel(), bits if tensor.ndim > 1 else _bits(tensor))  # its biases are not packed
        for one in holders.values()
        for tensor, bits in packed(one)
    ]
    return Beside(
        known + sum(count * bits for count, bits in others),
        known + FULL_PRECISION * sum(count for count, _ in others),
    )


def foldable(graph: fx.GraphModule, training: Container[nn.Module]) -> dict[fx.Node, fx.Node]:
    """Every batch norm behind a convolution of its own -> that convolution; one norm may follow another.

    Args:
        graph: of a network.
        training: modules that stay in training mode.
    """
    uses = Counter(id(tensor) for node in graph.graph.nodes for tensor in tensors_read(graph, node))
    found: dict[fx.Node, fx.Node] = {}
    for node in graph.graph.nodes:
        norm = _called(graph, node, BATCH_NORMS)
        if norm is None or norm.running_var is None or norm in training:
            continue
        before = node.all_input_nodes[0]
        at = found.get(before, before)
        conv = _called(graph, at, CONVOLUTIONS)
        if conv is None or len(before.users) > 1 or uses[id(conv.weight)] > 1:
            continue
        if not any(one._forward_hooks or one._forward_pre_hooks for one in (conv, norm)):
            found[node] = at
    return found


def tensors_read(graph: fx.GraphModule, node: fx.Node) -> list[Tensor]:
    """The stored tensors that a node reads."""
    found = _holder(graph, node)
    if node.op == "get_attr":
        return [found] if isinstance(found, Tensor) else []  # and not a graph, or what is scripted
    return [] if found is None else [tensor for _, tensor in tensors_of(found)]


def tensors_held(graph: fx.GraphModule, node: fx.Node) -> list[Tensor]:
    """The same, and all tensors of a graph, or of something scripted, that it hands on."""
    found = _holder(graph, node)
    return (
        [one for _, one in tensors_of(found)] if isinstance(found, nn.Module) else tensors_read(graph, node)
    )


def tensors_of(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers with their paths, each as often as it has one."""
    yield from module.named_parameters(remove_duplicate=False)
    yield from module.named_buffers(remove_duplicate=False)


def _holder(graph: fx.GraphModule, node: fx.Node) -> Any:
    """The module that a node calls, or the attribute that it reads."""
    return attrgetter(str(node.target))(graph) if node.op in ("call_module", "get_attr") else None


def _called(graph: fx.GraphModule, node: fx.Node, kinds: tuple[type[nn.Module], ...]) -> Any:
    """The module of one of these kinds that a node calls; None if it calls none."""
    module = _holder(graph, node) if node.op == "call_module" else None
    return module if isinstance(module, kinds) else None


def _bits(tensor: Tensor) -> int:
    """What a number takes: real ones are held in float32."""
    parts = 2 if tensor.is_complex() else 1
    real = tensor.is_complex() or tensor.is_floating_point()
    return FULL_PRECISION * parts if real else 8 * tensor.itemsize
