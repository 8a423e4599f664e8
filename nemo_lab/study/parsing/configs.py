"""From what people write about evaluated configurations to their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from nemo_lab.arguments import RAW, Whole
from nemo_lab.errors import ArgumentError, UnknownNameError


def known_config(given: Any, count: int) -> int:
    """The number of one of ``count`` evaluated configurations, as a plain one.

    Raises:
        UnknownNameError: if there is no evaluation of that number.

    >>> import numpy as np
    >>> known_config(np.int64(3), 12)
    3
    """
    try:
        return Whole(0, count - 1).check("config", given)
    except ArgumentError:
        raise UnknownNameError("config", given, [f"0 to {count - 1}"] if count else []) from None


def known_configs(given: Any, count: int) -> list[int]:
    """The same of one number, or of several.

    Raises:
        UnknownNameError: if there is no evaluation of one of them.
        ArgumentError: on a table or a mapping.
    """
    if isinstance(given, Mapping | pd.DataFrame):
        raise ArgumentError(f"a {type(given).__name__} is not a list of config ids", "give its index")
    try:
        several = [given] if isinstance(given, RAW) else list(given)
    except Exception:  # a single one, or what the object's own methods raise
        several = [given]
    return [known_config(one, count) for one in several]
