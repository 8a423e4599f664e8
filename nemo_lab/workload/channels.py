"""Which numbers of a stored tensor share a scale if it is quantized per channel.

The products decide: what is added up in one output has one scale, so that a kernel may add integers. Every
output channel, of every group and every expert, has a scale of its own. How many scales lie along each axis
says it all: (8, 1, 1, 1) of a convolution with 8 channels, (2, 4, 1, 1) of a transposed one with 4 in each of
2 groups, (16, 1, 64) of 16 experts on the right of a product with 64 columns each. Along an axis they are for
runs of equal length.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from nemo_lab.errors import TraceError
from nemo_lab.workload.arranged import CASTS
from nemo_lab.workload.computed import way_out
from nemo_lab.workload.nodes import argument, function_name
from nemo_lab.workload.operations import TRANSPOSED, Operations

Scales = tuple[int, ...]
ELLIPSIS = "..."


def common(several: Iterable[Scales]) -> Scales:
    """The finest scales that serve several products alike, which may be one for all.

    >>> common([(8, 1), (4, 1)]), common([(8, 1), (1, 6)])
    ((4, 1), (1, 1))
    """
    return tuple(math.gcd(*along) for along in zip(*several, strict=True))


def scales_of_operands(operations: Operations, node: fx.Node) -> tuple[Scales, Scales]:
    """The scales that the two operands of a product may have, each along its own axes."""
    operands = operations.operands(node)
    if operands is None:
        raise RuntimeError(f"{node} multiplies nothing")
    module, name = operations.module(node), operations.function(node)
    own: Any = getattr(module, "weight", None)
    if module is not None and own is None:
        raise TraceError(f"layer {str(node.target)!r} has a weight only while it runs", way_out(module))
    left, right = (tuple(own.shape) if one is None else tuple(one.meta["shape"]) for one in operands)
    if name == "einsum":
        return _of_einsum(node, (left, right))
    if name is not None and not name.startswith("conv") and name != "linear":
        return _one_along(left, -1), _one_along(right, -min(2, len(right)))
    if "conv" not in operations.op(node):
        return _one_along(left, -1), _one_along(right, -1)
    groups = module.groups if isinstance(module, TRANSPOSED) else _transposed_groups(node, name)
    kept = (left[0], 1) if groups is None else (groups, left[1])
    return (*kept, *[1] * (len(left) - 2)), (1,) * len(right)


def _one_along(shape: Scales, axis: int) -> Scales:
    """One scale for each number, but one for all along an axis, which is summed over."""
    scales = list(shape)
    scales[axis] = 1
    return tuple(scales)


def _transposed_groups(node: fx.Node, name: str | None) -> int | None:
    """Groups of a transposed convolution by function; None for any other."""
    if name == "convolution":
        return argument(node, 8, "groups") if argument(node, 6, "transposed") else None
    return argument(node, 6, "groups", 1) if name is not None and "transpose" in name else None


def _of_einsum(node: fx.Node, shapes: tuple[Scales, Scales]) -> tuple[Scales, Scales]:
    *terms, output = einsum_axes(node)
    left, right = (
        tuple(size if axis in output else 1 for axis, size in zip(_expanded(term, shape), shape, strict=True))
        for term, shape in zip(terms, shapes, strict=True)
    )
    return left, right


def einsum_axes(node: fx.Node) -> list[list[Any]]:
    """The labels of the axes of each operand, then of the output, however an einsum was written."""
    if isinstance(node.args[0], str):
        equation = node.args[0].replace(" ", "")
        terms = [re.findall(r"\.\.\.|\w", term) for term in re.split(",|->", equation)]
        explicit = "->" in equation
    else:  # tensors and lists of axes by turns
        lists = [one for one in node.args if isinstance(one, list | tuple)]
        terms = [[ELLIPSIS if axis is Ellipsis else axis for axis in one] for one in lists]
        explicit = len(node.args) % 2 == 1
    if not explicit:
        every = [axis for term in terms for axis in term]
        terms.append([axis for axis in every if axis == ELLIPSIS or every.count(axis) == 1])
    return terms


def _expanded(term: Sequence[Any], shape: Scales) -> list[Any]:
    """A label for every axis."""
    more = len(shape) - len(term) + 1
    return [label for axis in term for label in ([axis] * more if axis == ELLIPSIS else [axis])]


def scales_of_stored(
    scales: Scales, tensor: Tensor, between: Sequence[fx.Node], interpreter: fx.Interpreter
) -> Scales:
    """The same along the axes of the tensor that an operand is arranged from.

    Where its numbers come to lie is seen by arranging their places in the same way.

    Args:
        scales: along the axes of the operand.
        tensor: that is stored.
        between: the operations that arrange it.
        interpreter: of the graph, which holds the value of every node.
    """
    return tuple(
        _most(size, *_extent(_arranged(_places(tensor, axis), between, interpreter), scales))
        for axis, size in enumerate(tensor.shape)
    )


def _places(tensor: Tensor, axis: int) -> Tensor:
    """The place along an axis of every number: float32, which is exact up to 2**24."""
    along = torch.arange(tensor.shape[axis], dtype=torch.float32, device=tensor.device)
    return along.reshape(-1, *[1] * (tensor.ndim - axis - 1)).expand(tensor.shape).contiguous()


def _arranged(tensor: Any, between: Sequence[fx.Node], interpreter: fx.Interpreter) -> Tensor:
    for node in between:
        if function_name(node) in CASTS:
            continue
        given = argument(node, 0, "input", node.kwargs.get("self"))
        others = {other: interpreter.env[other] for other in node.all_input_nodes if other is not given}
        values = {given: tensor, **others}
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
        tensor = getattr(interpreter, node.op)(node.target, args, kwargs)
    found: Tensor = tensor
    return found


def _extent(places: Tensor, scales: Scales) -> tuple[Tensor, Tensor]:
    """The first and the last place among the numbers under each scale."""
    runs = [part for size, count in zip(places.shape, scales, strict=True) for part in (count, size // count)]
    apart = places.reshape(runs)
    inside = list(range(1, len(runs), 2))
    return apart.amin(inside).long(), apart.amax(inside).long()


def _most(size: int, first: Tensor, last: Tensor) -> int:
    """Into how many runs of equal length an axis can be cut with no scale on both sides of a cut."""
    counts = (count for count in range(size, 1, -1) if size % count == 0)
    return next((n for n in counts if torch.equal(first * n // size, last * n // size)), 1)
