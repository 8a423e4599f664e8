"""Whether two networks give the same on the same input, up to what rounding in the last digits explains."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

# of the deviation of the outputs, and of the largest output: what another order of additions may change
TOLERANCES: dict[torch.dtype, tuple[float, float]] = {
    torch.float16: (1e-2, 1e-2),
    torch.bfloat16: (5e-2, 2e-2),
}
USUAL = (1e-4, 1e-5)
HUGE = 1e3  # times the median are numbers that stand for no score, such as -1e9: they are compared apart
FLIPPED = 1e-3  # of whole numbers, such as the best class of each pixel: ties may fall the other way


def disagreement(found: Any, wanted: Any, computed_in: torch.dtype | None = None) -> str | None:
    """How the outputs of two networks differ: None if they do not.

    Args:
        found, wanted: outputs, however nested, in dictionaries and dataclasses of one's own, too. What is
            not a tensor is not compared; one tensor at least has to be.
        computed_in: the type in which what is wanted was computed, if not the type of each output.
    """
    left, right = (list(leaves(outputs)) for outputs in (found, wanted))
    if not any(isinstance(one, Tensor) for one in right):
        return "there is no tensor that could be compared"
    if len(left) != len(right):
        return f"{len(left)} outputs where there are {len(right)}"
    for one, other in zip(left, right, strict=True):
        differs = _differs(one, other, computed_in)
        if differs is not None:
            return differs
    return None


def leaves(outputs: Any) -> Iterator[Any]:
    """What outputs consist of, however they are packed; tensors without their gradients."""
    for leaf in pytree.tree_leaves(outputs):
        if isinstance(leaf, Tensor):
            yield leaf.detach()
        elif isinstance(leaf, Mapping):  # of a kind that pytree does not know
            yield from leaves([*leaf.values()])
        elif dataclasses.is_dataclass(leaf) and not isinstance(leaf, type):
            yield from leaves([getattr(leaf, one.name) for one in dataclasses.fields(leaf)])
        else:
            yield leaf


def _differs(found: Any, wanted: Any, computed_in: torch.dtype | None) -> str | None:
    if not isinstance(wanted, Tensor) or not isinstance(found, Tensor):
        same = isinstance(wanted, Tensor) == isinstance(found, Tensor)
        return None if same else f"{type(found).__name__} where there is {type(wanted).__name__}"
    if found.shape != wanted.shape:
        return f"an output of shape {tuple(found.shape)} where there is {tuple(wanted.shape)}"
    if not wanted.numel():
        return None
    found, wanted, kind = found.cpu(), wanted.cpu(), wanted.dtype
    if not (kind.is_floating_point or kind.is_complex):
        flipped = float((found != wanted).double().mean())
        permitted = FLIPPED if computed_in is None else TOLERANCES[computed_in][0]
        return None if flipped <= permitted else f"{flipped:.1%} of the whole numbers are others"
    wide = torch.complex128 if kind.is_complex else torch.float64
    found, wanted = found.to(wide), wanted.to(wide)
    finite = wanted.isfinite()
    if not torch.equal(found.isfinite(), finite) or not torch.equal(
        found[~finite].nan_to_num(), wanted[~finite].nan_to_num()
    ):
        return "other places are not finite"
    off, wanted = (found - wanted)[finite].abs(), wanted[finite]
    if not off.numel():
        return None
    size = wanted.abs()
    huge = size > HUGE * max(float(size[size > 0].median()) if bool((size > 0).any()) else 0.0, 1e-300)
    tolerance = TOLERANCES.get(computed_in or kind, USUAL)
    return next(filter(None, (_off(off[one], wanted[one], *tolerance) for one in (~huge, huge))), None)


def _off(off: Tensor, wanted: Tensor, share: float, of_largest: float) -> str | None:
    """Whether numbers are off by more than is permitted of their deviation and of the largest of them."""
    if not off.numel():
        return None
    deviation = float(wanted.std()) if wanted.numel() > 1 else 0.0
    away = float(off.square().mean().sqrt())
    if away <= share * deviation + of_largest * float(wanted.abs().max()):
        return None
    return f"outputs are off by {away:.2g}, where they vary by {deviation:.2g}"
