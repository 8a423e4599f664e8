"""Digests of what results depend on, so that a stored result is used again only where it holds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor


def digest(parts: Iterable[Any]) -> str:
    """A short hexadecimal digest of texts, numbers, tensors and arrays, in order."""
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, Tensor):
            part = part.detach().cpu().contiguous()
            if part.dtype == torch.bfloat16:
                part = part.view(torch.int16)
            part = part.numpy()
        if isinstance(part, np.ndarray):
            found.update(f"{part.dtype.str}{part.shape}".encode())
            found.update(np.ascontiguousarray(part).data if part.size else b"")
        else:
            found.update(f"{part!r};".encode())
    return found.hexdigest()
