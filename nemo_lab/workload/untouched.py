"""A module that runs, or is traced, and is as before afterwards."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

CONTAINERS = (dict, list, set, deque)  # what a module keeps things in, such as the attention of each call
TORCHS = {"_parameters", "_buffers", "_modules"}


@contextmanager
def untouched(module: nn.Module) -> Iterator[None]:
    """Run a module without gradients; its buffers and attributes are as before afterwards.

    A trace leaves its proxies in attributes that ``forward`` sets, where they would spoil the next call. An
    error in the midst of ``torch.func.vmap``, as a graph writes it, would leave this thread within it.
    """
    parts = list(module.modules())
    buffers = [(part, dict(part._buffers)) for part in parts if part._buffers]
    values = [{name: _kept(b) for name, b in own.items()} for _, own in buffers]
    attributes = [_attributes(part) for part in parts]
    depth = depth_of_transforms()
    with torch.no_grad():
        try:
            yield
        finally:
            torch._C._functorch.pop_dynamic_layer_stack_and_undo_to_depth(depth)
            for part, before in zip(parts, attributes, strict=True):
                _restore(part, before)
            for (part, own), saved in zip(buffers, values, strict=True):
                part._buffers.update(own)
                for name, value in saved.items():
                    now = own[name]
                    if value is not None and now is not None and not torch.equal(now, value):
                        now.copy_(value)


def depth_of_transforms() -> int:
    """In how many transforms of ``torch.func`` this thread is."""
    depth: int = torch._C._functorch.get_dynamic_layer_stack_depth()
    return depth


def _kept(buffer: Tensor | None) -> Tensor | None:
    """A copy of a buffer; None for one that nobody can write to here."""
    return None if buffer is None or buffer.is_inference() else buffer.clone()


def _attributes(part: nn.Module) -> dict[str, tuple[Any, Any]]:
    """What a module holds of its own: each object, and what is in it where that may change."""
    held = part.__dict__.items()
    return {
        name: (value, value.copy() if type(value) in CONTAINERS else None)
        for name, value in held
        if name not in TORCHS
    }


def _restore(part: nn.Module, before: dict[str, tuple[Any, Any]]) -> None:
    now = part.__dict__
    for name in now.keys() - before.keys() - TORCHS:
        del now[name]
    for name, (value, content) in before.items():
        now[name] = value
        if content is not None:
            value.clear()
            (value.update if isinstance(value, dict | set) else value.extend)(content)
