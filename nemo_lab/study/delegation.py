"""Methods of a whole that one of its parts carries out."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")


def delegated(part: str, method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """A method that calls the same one of the part of that name, with its signature and its docstring.

    >>> class Engine:
    ...     def start(self, seconds: int) -> str:
    ...         return f"for {seconds} s"
    >>> class Car:
    ...     start = delegated("engine", Engine.start)
    ...     def __init__(self) -> None:
    ...         self.engine = Engine()
    >>> Car().start(3)
    'for 3 s'
    """

    @functools.wraps(method)
    def call(whole: Any, *args: P.args, **kwargs: P.kwargs) -> R:
        return method(getattr(whole, part), *args, **kwargs)

    return cast("Callable[Concatenate[Any, P], R]", call)
