"""Settings of a problem, checked before anything is run."""

from __future__ import annotations

import math
import operator
from typing import Any

import torch

from nemo_lab.errors import ArgumentError


def checked_widths(bit_widths: Any) -> tuple[int, ...]:
    """The widths to choose from.

    Raises:
        ArgumentError: unless they are ascending whole numbers, each 2 to 16.
    """
    given: tuple[Any, ...] = ()
    try:
        given = () if isinstance(bit_widths, str | bytes) else tuple(bit_widths)
        widths = tuple(int(width) for width in given)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # torch raises the last
        widths = ()
    ascending = list(widths) == sorted(set(widths))
    if not widths or widths != given or not ascending or not 2 <= widths[0] <= widths[-1] <= 16:
        raise ArgumentError(
            f"bit_widths {bit_widths!r} cannot be used",
            "give ascending whole numbers, each 2 to 16, such as (4, 8)",
        )
    return widths


def checked_count(value: Any, name: str) -> int:
    """A number of examples or threads.

    Raises:
        ArgumentError: unless it is a whole number of at least 1.
    """
    try:
        count = 0 if isinstance(value, bool) else operator.index(value)
    except (TypeError, ValueError, RuntimeError):  # torch raises each
        count = 0
    if count < 1:
        raise ArgumentError(f"{name}={value!r}", "give a whole number of at least 1")
    return count


def checked_bytes(megabytes: Any, name: str) -> int:
    """Bytes of a cap in MB.

    Raises:
        ArgumentError: unless it is a number from 0.
    """
    try:
        value = float(megabytes)
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not 0 <= value < math.inf:
        raise ArgumentError(f"{name}={megabytes!r}", "give a number of megabytes, 0 to keep nothing")
    return int(value * 1e6)


def checked_device(device: Any) -> torch.device:
    """The device; the GPU on None, if torch sees one.

    Raises:
        ArgumentError: if torch has no such device here.
    """
    try:
        usual = "cuda" if torch.cuda.is_available() else "cpu"
        found = torch.device(usual if device is None else device)
        torch.zeros(1, device=found).cpu()
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:  # torch raises each
        raise ArgumentError(
            f"device {device!r} cannot be used", "give 'cpu', or 'cuda' with a GPU"
        ) from error
    return found
