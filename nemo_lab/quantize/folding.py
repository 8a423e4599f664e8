"""Batch norms folded into the convolutions before them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from operator import attrgetter
from typing import Any

from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from nemo_lab.workload.operations import BATCH_NORMS, CONVOLUTIONS

DEAD = 1e-5  # of the power of the strongest channel


def fold_batch_norms(graph: fx.GraphModule) -> dict[str, str]:
    """Fold every batch norm that follows a conv of its own into that conv, in place.

    Returns:
        the fx name of each folded batch norm -> its conv's.
    """
    uses = Counter(id(tensor) for node in graph.graph.nodes for tensor in tensors_read(graph, node))
    folded: dict[str, str] = {}
    for node in list(graph.graph.nodes):
        norm = _called(graph, node, BATCH_NORMS)
        before = node.all_input_nodes[0] if norm is not None else node
        conv = _called(graph, before, CONVOLUTIONS)  # as it is now: one norm may follow another
        if norm is None or conv is None or norm.running_var is None or norm.training:
            continue
        if len(before.users) > 1 or uses[id(conv.weight)] > 1:
            continue
        if any(one._forward_hooks or one._forward_pre_hooks for one in (conv, norm)):
            continue
        fused = fuse_conv_bn_eval(conv, norm)
        _silence_dead_channels(fused, norm)
        graph.set_submodule(str(before.target), fused)
        node.replace_all_uses_with(before)
        graph.graph.erase_node(node)
        folded[node.name] = before.name
    graph.graph.lint()
    graph.recompile()
    return folded


def _called(graph: fx.GraphModule, node: fx.Node, kinds: tuple[type[nn.Module], ...]) -> Any:
    """The module of one of these kinds that a node calls; None if it calls none."""
    if node.op != "call_module":
        return None
    module = graph.get_submodule(str(node.target))
    return module if isinstance(module, kinds) else None


def _silence_dead_channels(conv: nn.Module, norm: nn.Module) -> None:
    """Give channels that did not vary in training their constant output.

    Folding divides a channel's weights by its deviation. Where that is nothing beside ``eps`` (a channel that
    died), the weights grow by 1 / sqrt(eps), some hundredfold, and widen the range of the whole tensor for
    a channel that carries nothing beside the others; in full precision the two are the same. Where all
    channels are as small, none is dead.
    """
    variance = _tensor(norm, "running_var").double()
    power = variance / (variance + float(norm.eps))  # type: ignore[arg-type]
    if norm.weight is not None:
        power = power * _tensor(norm, "weight").data.double().square()
    dead = power < DEAD * power.max()
    _tensor(conv, "weight").data[dead] = 0.0
    _tensor(conv, "bias").data[dead] = 0.0 if norm.bias is None else _tensor(norm, "bias").data[dead]


def tensors_read(graph: fx.GraphModule, node: fx.Node) -> list[Tensor]:
    """The stored tensors that a node reads."""
    if node.op == "call_module":
        return [tensor for _, tensor in tensors_of(graph.get_submodule(str(node.target)))]
    found = attrgetter(str(node.target))(graph) if node.op == "get_attr" else None
    return [found] if isinstance(found, Tensor) else []  # and not a graph, or what is scripted


def stored(graph: fx.GraphModule, path: str) -> Tensor:
    """A parameter or buffer by its path."""
    owner, _, name = path.rpartition(".")
    return _tensor(graph.get_submodule(owner), name)


def paths_of(graph: fx.GraphModule, path: str) -> list[str]:
    """Every path of the parameter or buffer at a path, which may be shared."""
    tensor = stored(graph, path)
    return [path, *(other for other, one in tensors_of(graph) if one is tensor)]


def tensors_of(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers with their paths, each as often as it has one."""
    yield from module.named_parameters(remove_duplicate=False)
    yield from module.named_buffers(remove_duplicate=False)


def free_name(graph: fx.GraphModule, name: str) -> str:
    """How nothing of the network's own begins: the name, with as many underscores as that takes."""
    taken = {path.partition(".")[0] for path in (*dict(tensors_of(graph)), *dict(graph.named_modules()))}
    while any(one.startswith(name) for one in taken):
        name += "_"
    return name


def _tensor(module: nn.Module, name: str) -> Tensor:
    """A parameter or buffer that is known to be there."""
    found = getattr(module, name)
    if not isinstance(found, Tensor):
        raise TypeError(f"{type(module).__name__}.{name} is a {type(found).__name__}")
    return found
