"""Torch's thread count, held down for a while and given back."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import torch


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Run the body with ``count`` torch threads: small networks lose by more than one.

    Only the calling thread is meant. ``torch.set_num_threads`` would not do: what it was told last is what
    every new thread of the process begins with.
    """
    before = torch.get_num_threads()
    if before == count:
        yield
        return
    openmp, mkl = _setters()
    before_mkl = mkl(count)
    openmp(count)
    try:
        yield
    finally:
        openmp(before)
        mkl(before_mkl)


@cache
def _setters() -> tuple[Callable[[int], object], Callable[[int], int]]:
    """What sets the calling thread's count in OpenMP; and in MKL, where 0 is what OpenMP says."""
    try:
        library = ctypes.PyDLL(torch._C.__file__)  # finds names in what it was linked with, too
        openmp: Callable[[int], object] = library.omp_set_num_threads
    except (OSError, AttributeError):  # Windows, or a torch without OpenMP
        return torch.set_num_threads, lambda _: 0
    return openmp, getattr(library, "MKL_Set_Num_Threads_Local", lambda _: 0)
