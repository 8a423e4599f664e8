"""What may be told of every new snapshot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nemo_lab.arguments import Domain


@dataclass(frozen=True)
class _Function(Domain[Callable[..., Any]]):
    """What can be called, and compared with others."""

    words: str = field(default="a function without arguments", kw_only=True)

    def clean(self, value: Any) -> Callable[..., Any]:
        """The function itself."""
        if not callable(value) or (value == object()) is True:
            raise ValueError
        found: Callable[..., Any] = value
        return found


LISTENER = _Function()
