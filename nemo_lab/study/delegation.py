"""Methods of a whole that one of its parts carries out."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")


def delegated(
    part: str, method: Callable[Concatenate[Any, P], R], *, first: Callable[[Any], object] | None = None
) -> Callable[Concatenate[Any, P], R]:
    """A method that calls the same one of the part of that name, with its signature and its docstring.

    Args:
        part: the attribute that has it.
        method: of the part's class.
        first: called with the whole before, to refuse a call that cannot be right whatever its arguments are.

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
        if first is not None:
            first(whole)
        return method(getattr(whole, part), *args, **kwargs)

    return cast("Callable[Concatenate[Any, P], R]", call)


def writing(part: str, method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """The same for what runs or steers a study: refused before all else where it is only looked at."""
    return delegated(part, method, first=lambda study: study._runner.check_writable())
