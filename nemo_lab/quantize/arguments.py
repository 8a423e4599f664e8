"""Settings of a problem, checked before anything is run."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch

from nemo_lab.errors import ArgumentError


def checked_widths(bit_widths: Any) -> tuple[int, ...]:
    """The widths to choose from.

    Raises:
        ArgumentError: unless they are ascending whole numbers, each 2 to 16.
    """
    hint = "give ascending whole numbers, each 2 to 16"
    if not isinstance(bit_widths, Iterable) or isinstance(bit_widths, str | bytes):
        raise ArgumentError(f"bit_widths {bit_widths!r} cannot be used", f"{hint}, such as (4, 8)")
    given = tuple(bit_widths)
    try:
        widths = tuple(int(width) for width in given)
    except (TypeError, ValueError, OverflowError) as error:
        raise ArgumentError(f"bit_widths {given} cannot be used", hint) from error
    ascending = list(widths) == sorted(set(widths))
    if widths != given or not widths or not ascending or not 2 <= widths[0] <= widths[-1] <= 16:
        raise ArgumentError(f"bit_widths {given} cannot be used", hint)
    return widths


def checked_counts(**counts: Any) -> None:
    """Hold numbers of examples or threads, by name, against what they can be; None is a default.

    Raises:
        ArgumentError: unless they are whole numbers of at least 1.
    """
    for name, value in counts.items():
        whole = hasattr(value, "__index__") and not isinstance(value, bool)
        if value is not None and not (whole and value >= 1):
            raise ArgumentError(f"{name}={value!r}", "give a whole number of at least 1")


def checked_bytes(megabytes: Any, name: str) -> int:
    """Bytes of a cap in MB.

    Raises:
        ArgumentError: unless it is a number from 0.
    """
    try:
        value = float(megabytes)
    except (TypeError, ValueError):
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
    except (RuntimeError, AssertionError, TypeError) as error:  # torch raises each
        raise ArgumentError(
            f"device {device!r} cannot be used", "give 'cpu', or 'cuda' with a GPU"
        ) from error
    return found
