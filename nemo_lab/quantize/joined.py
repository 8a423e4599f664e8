"""Outputs of a network batch by batch, as those of one batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nemo_lab.errors import EvaluationError


def joined(parts: Sequence[Any]) -> Any:
    """What a network would have returned for all batches at once.

    Args:
        parts: what it returned for each: tensors whose first axis is that of the batch, in whatever tuples,
            lists, dictionaries and dataclasses; what is none of these has to be the same in all.

    Raises:
        EvaluationError: if they cannot be put together.
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, Tensor):
        return _concatenated(parts)
    if isinstance(first, Mapping):
        whole = {key: joined([part[key] for part in parts]) for key in first}
        return whole if type(first) is dict else type(first)(**whole)
    if dataclasses.is_dataclass(first) and not isinstance(first, type):
        names = [one.name for one in dataclasses.fields(first)]
        return dataclasses.replace(
            first, **{name: joined([getattr(part, name) for part in parts]) for name in names}
        )
    if isinstance(first, tuple | list):
        members = [joined(one) for one in zip(*parts, strict=True)]
        return type(first)(*members) if hasattr(first, "_fields") else type(first)(members)
    if all(type(part) is type(first) and part == first for part in parts):
        return first
    raise _apart(f"a {type(first).__name__} for each batch")


def _concatenated(parts: Sequence[Tensor]) -> Tensor:
    if parts[0].ndim and len({part.shape[1:] for part in parts}) == 1:
        return torch.cat(tuple(parts))
    raise _apart(f"shapes {', '.join(str(tuple(part.shape)) for part in parts[:2])}")


def _apart(what: str) -> EvaluationError:
    return EvaluationError(
        f"the metric returns one number for all examples, and the network {what}, which cannot be joined",
        "return one number for each example, or pass a batch_size that holds all of them",
    )
