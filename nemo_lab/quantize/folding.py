"""Batch norms folded into the convolutions before them."""

from __future__ import annotations

from typing import Any

from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from nemo_lab.workload.arranged import tensors_of as tensors_of
from nemo_lab.workload.beside import foldable

DEAD = 1e-5  # of the power of the strongest channel


def fold_batch_norms(graph: fx.GraphModule) -> dict[str, str]:
    """Fold every batch norm that follows a conv of its own into that conv, in place; see ``foldable``.

    Returns:
        the fx name of each folded batch norm -> its conv's.
    """
    training = {part for part in graph.modules() if part.training}
    folded: dict[str, str] = {}
    for node, before in foldable(graph, training).items():
        modules: list[Any] = [graph.get_submodule(str(one.target)) for one in (before, node)]
        conv, norm = modules
        fused = fuse_conv_bn_eval(conv, norm)
        _silence_dead_channels(fused, norm)
        graph.set_submodule(str(before.target), fused)
        node.replace_all_uses_with(before)
        graph.graph.erase_node(node)
        folded[node.name] = before.name
    graph.graph.lint()
    graph.recompile()
    return folded


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


def stored(graph: fx.GraphModule, path: str) -> Tensor:
    """A parameter or buffer by its path."""
    owner, _, name = path.rpartition(".")
    return _tensor(graph.get_submodule(owner), name)


def paths_of(graph: fx.GraphModule, path: str) -> list[str]:
    """Every path of the parameter or buffer at a path, which may be shared."""
    tensor = stored(graph, path)
    return [path, *(other for other, one in tensors_of(graph) if one is tensor)]


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
