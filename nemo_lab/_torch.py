"""Torch's thread count, held down for a while and given back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_lock = threading.Lock()
_counts: list[int] = []  # what was found first, then what everybody who is inside asked for


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Run the body with ``count`` torch threads: small networks lose by more than one.

    The count is the process's. Where bodies overlap on several threads, the last one out gives
    back what the first one in found.
    """
    with _lock:
        if not _counts:
            _counts.append(torch.get_num_threads())
        _counts.append(count)
        torch.set_num_threads(count)
    try:
        yield
    finally:
        with _lock:
            _counts.reverse()
            _counts.remove(count)  # the innermost of these
            _counts.reverse()
            torch.set_num_threads(_counts[-1])
            if len(_counts) == 1:
                _counts.clear()
