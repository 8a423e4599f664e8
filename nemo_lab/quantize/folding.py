"""Batch norms folded into the convolutions before them."""

from __future__ import annotations

from collections import Counter

from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from nemo_lab.workload.operations import BATCH_NORMS, CONVOLUTIONS

DEAD_VARIANCE = 1e-10


def fold_batch_norms(graph: fx.GraphModule) -> dict[str, str]:
    """Fold every batch norm that follows a conv of its own into that conv, in place.

    Returns:
        the fx name of each folded batch norm -> its conv's.
    """
    modules = dict(graph.named_modules())
    uses = Counter(id(tensor) for node in graph.graph.nodes for tensor in _read(graph, node))
    folded: dict[str, str] = {}
    for norm in list(graph.graph.nodes):
        if norm.op != "call_module" or not isinstance(modules[str(norm.target)], BATCH_NORMS):
            continue
        conv = norm.all_input_nodes[0]
        if conv.op != "call_module" or not isinstance(modules[str(conv.target)], CONVOLUTIONS):
            continue
        if len(conv.users) > 1 or uses[id(modules[str(conv.target)].weight)] > 1:
            continue
        if modules[str(norm.target)].running_var is None or any(
            modules[str(n.target)]._forward_hooks or modules[str(n.target)]._forward_pre_hooks
            for n in (conv, norm)
        ):
            continue
        fused = fuse_conv_bn_eval(modules[str(conv.target)], modules[str(norm.target)])
        _silence_dead_channels(fused, modules[str(norm.target)])
        graph.set_submodule(str(conv.target), fused)
        norm.replace_all_uses_with(conv)
        graph.graph.erase_node(norm)
        folded[norm.name] = conv.name
    graph.graph.lint()
    graph.recompile()
    return folded


def _silence_dead_channels(conv: nn.Module, norm: nn.Module) -> None:
    """Give channels that never varied in training their constant output.

    Folding divides a channel's weights by its deviation. Where that is zero (a channel that died),
    the weights grow by 1 / sqrt(eps), some hundredfold, and widen the range of the whole tensor for
    a channel that carries nothing; in full precision the two are the same.
    """
    dead = _tensor(norm, "running_var") < DEAD_VARIANCE
    _tensor(conv, "weight").data[dead] = 0.0
    _tensor(conv, "bias").data[dead] = 0.0 if norm.bias is None else _tensor(norm, "bias").data[dead]


def _read(graph: fx.GraphModule, node: fx.Node) -> list[Tensor]:
    """The stored tensors that a node reads."""
    if node.op == "call_module":
        return list(graph.get_submodule(str(node.target)).parameters())
    return [stored(graph, str(node.target))] if node.op == "get_attr" else []


def stored(graph: fx.GraphModule, path: str) -> Tensor:
    """A parameter or buffer by its path."""
    owner, _, name = path.rpartition(".")
    return _tensor(graph.get_submodule(owner), name)


def _tensor(module: nn.Module, name: str) -> Tensor:
    """A parameter or buffer that is known to be there."""
    found = getattr(module, name)
    if not isinstance(found, Tensor):
        raise TypeError(f"{type(module).__name__}.{name} is a {type(found).__name__}")
    return found
