"""What a network stores beside the weights that are decisions: biases, norms, tables and other tensors.

A batch norm that is folded leaves a bias in its convolution, and nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass
from operator import attrgetter

from torch import Tensor, fx, nn

from nemo_lab.workload.arranged import called, holder, hooked, tensors_held, tensors_read
from nemo_lab.workload.consecutive import follower, layers_of
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


def beside_weights(workload: Workload, fold: bool, equalize: bool) -> Beside:
    """What a workload stores beside its weights, every tensor once.

    Args:
        workload: traced.
        fold: whether batch norms are folded into the convolutions before them.
        equalize: whether consecutive layers are equalized, and what limits channels does so one by one.
    """
    graph = workload.graph
    training = {graph.get_submodule(path) for path in graph.meta.get("training", ())}
    paths = [one.source for node in workload.nodes for one in node.quantizers if one.kind == "weight"]
    weights = {id(attrgetter(path)(graph)) for path in paths}
    folded = foldable(graph, training) if fold else {}
    nodes = [node for node in graph.graph.nodes if node not in folded]
    convs = set(folded.values())  # each has a bias of its own then, though others may have shared it
    held = {
        id(one): one
        for node in nodes
        for one in tensors_held(graph, node)
        if id(one) not in weights and not (node in convs and one is holder(graph, node).bias)
    }
    known = sum(tensor.numel() * _bits(tensor) for tensor in held.values())
    for conv in {called(graph, node, CONVOLUTIONS) for node in convs}:
        known += FULL_PRECISION * conv.out_channels
    layers = layers_of(graph, convs) if equalize else {}
    followed = (follower(graph, layer, layers, folded) for layer in layers.values())
    limits = sum(limit.numbers for found in followed if found is not None for limit in found.limits)
    holders = {id(one): one for one in (holder(graph, node) for node in nodes) if one is not None}
    others = [
        (tensor.numel(), bits if tensor.ndim > 1 else _bits(tensor))  # its biases are not packed
        for one in holders.values()
        for tensor, bits in packed(one)
    ]
    return Beside(
        known + FULL_PRECISION * limits + sum(count * bits for count, bits in others),
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
        norm = called(graph, node, BATCH_NORMS)
        if norm is None or norm.running_var is None or norm in training:
            continue
        before = node.all_input_nodes[0]
        at = found.get(before, before)
        conv = called(graph, at, CONVOLUTIONS)
        if conv is None or len(before.users) > 1 or uses[id(conv.weight)] > 1:
            continue
        if not hooked(conv) and not hooked(norm):
            found[node] = at
    return found


def _bits(tensor: Tensor) -> int:
    """What a number takes: real ones are held in float32."""
    parts = 2 if tensor.is_complex() else 1
    real = tensor.is_complex() or tensor.is_floating_point()
    return FULL_PRECISION * parts if real else 8 * tensor.itemsize
