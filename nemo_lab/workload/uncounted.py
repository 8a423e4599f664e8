"""How many multiply-accumulates an operation takes, and whether anything is known about that."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._ops import HigherOrderOperator
from torch.utils import _pytree as pytree
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten


def _recurrent(x: Any, weight: Any, recurrent: Any, *args: Any, **kwargs: Any) -> int:
    """One direction of one recurrent layer over input [T, N, ...]: every weight once a step."""
    return int(2 * x.shape[0] * x.shape[1] * (weight.numel() + recurrent.numel()))


def _once(place: int) -> Any:
    """Every number of the argument at ``place`` once: a matrix or vector that meets a vector."""
    return lambda *args, **kwargs: 2 * args[place].numel()


FLOPS: dict[Any, Any] = {
    **flop_registry,
    aten.mkldnn_rnn_layer: _recurrent,
    aten._scaled_dot_product_flash_attention_for_cpu: flop_registry[aten._scaled_dot_product_flash_attention],
    aten.mv: _once(0),
    aten.addmv: _once(1),
    aten.dot: _once(0),
    aten.vdot: _once(0),
}
TORCHS = {
    "aten",
    "prims",
    "quantized",
    "quantized_decomposed",
    "mkldnn",
    "onednn",
    "torchvision",
}  # their names say what they do
MULTIPLYING = re.compile(
    r"(mm|mv|dot)(_|$)|matmul|einsum|conv(?!ert)|linear|fft_|dist_forward|attention|transformer_|multi_head|"
    r"rnn|(?<!fused_)(lstm|gru)|solve|cholesky|qr(f|$)|linalg_(?!vector_norm|_powsum|cross)"
)


def macs(func: Any, args: Any, kwargs: Any, out: Any) -> int | None:
    """Multiply-accumulates of one call of an operation, or of a higher-order operator; None if unknown."""
    formula = FLOPS.get(getattr(func, "_overloadpacket", func))
    if formula is not None:
        return int(formula(*args, **kwargs, out_val=out)) // 2
    return None if _may_multiply(func, args, kwargs, out) else 0


def _may_multiply(func: Any, args: Any, kwargs: Any, out: Any) -> bool:
    """Whether an operation multiplies by its name, or by what it reads where its name is nobody's.

    Somebody's own operation multiplies if it reads two matrices or more, a stored one, or what only it can
    read, such as packed weights. What works number by number does not, nor what gives no real numbers.
    """
    given = pytree.arg_tree_leaves(*args, **kwargs)
    if isinstance(func, HigherOrderOperator):
        graphs = [graph for graph in given if isinstance(graph, fx.GraphModule)]
        inner = [part for graph in graphs for part in graph.modules() if isinstance(part, fx.GraphModule)]
        return not inner or any(_named_multiplying(n.target) for part in inner for n in part.graph.nodes)
    if torch.Tag.pointwise in func.tags or not any(map(_is_number, pytree.tree_leaves(out))):
        return False
    if func.namespace in TORCHS:
        return any(map(_is_number, given)) and _named_multiplying(func)
    matrices = [one for one in given if _is_number(one) and one.ndim > 1]
    return (
        len(matrices) > 1
        or any(isinstance(one, nn.Parameter) for one in matrices)
        or any(isinstance(one, torch.ScriptObject) for one in given)
    )


def _named_multiplying(target: Any) -> bool:
    schema = getattr(target, "_schema", None)
    return schema is not None and "upsample" not in schema.name and bool(MULTIPLYING.search(schema.name))


def _is_number(value: Any) -> bool:
    """Whether a value is a tensor of real, complex or quantized numbers."""
    return isinstance(value, Tensor) and (
        value.is_floating_point() or value.is_complex() or value.is_quantized
    )


def packed(holder: Any) -> list[tuple[Tensor, int]]:
    """What a module stores in other ways than as parameters and buffers, and in how many bits a number.

    Such are the packed weights of quantized layers, which only their own operations can read. ``holder`` may
    also be such an object of torch itself.
    """
    stored: dict[str, Any] = {"": holder} if isinstance(holder, torch.ScriptObject) else {}
    if isinstance(holder, nn.Module):
        known = {path for path, _ in (*holder.named_parameters(), *holder.named_buffers())}
        stored = {path: one for path, one in holder.state_dict().items() if path not in known}
    kinds = {path.rpartition(".")[0]: one for path, one in stored.items() if isinstance(one, torch.dtype)}
    return [
        (tensor, 8 * kinds.get(path.rpartition(".")[0], tensor.dtype).itemsize)
        for path, one in stored.items()
        for tensor in _tensors(one)
    ]


def _tensors(stored: Any) -> Iterator[Tensor]:
    leaf: Any
    for leaf in pytree.tree_leaves(stored):
        of_torch = isinstance(leaf, torch.ScriptObject)
        if isinstance(leaf, Tensor):
            yield leaf
        elif of_torch and leaf._has_method("__getstate__"):
            yield from _tensors(leaf.__getstate__())
