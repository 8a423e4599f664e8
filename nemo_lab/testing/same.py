"""Whether two genomes are equal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def same(one: Any, two: Any) -> bool:
    """Whether two genomes are equal, arrays inside containers included; unknown objects pass."""
    if isinstance(one, np.ndarray):
        return isinstance(two, np.ndarray) and np.array_equal(one, two, equal_nan=one.dtype.kind == "f")
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(same(a, b) for a, b in zip(one, two, strict=True))
    if isinstance(one, Mapping):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if hasattr(one, "__dict__"):
        return same(vars(one), vars(two))
    incomparable = getattr(type(one), "__eq__", None) is getattr(object, "__eq__", None)
    return incomparable or bool(np.all(one == two))
