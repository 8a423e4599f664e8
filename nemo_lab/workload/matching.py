"""What fits a text or a function, and what may be given as one; which of them counts, ``names`` decides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from nemo_lab.errors import ArgumentError, shown


def inside(names: Iterable[str], module: str) -> list[str]:
    """The names that are ``module``, or are in it: begin with it and a dot."""
    start = f"{module}."
    return [name for name in names if module and (name == module or name.startswith(start))]


def fitting(names: Iterable[str], glob: str) -> list[str]:
    """The names that a glob fits, or that are inside of a module that it fits."""
    within = f"{glob}.*"
    return [name for name in names if fnmatchcase(name, glob) or fnmatchcase(name, within)]


def true_for(function: Callable[[Any], Any], nodes: Sequence[Any]) -> tuple[int, ...]:
    """Positions of the nodes for which a function is true.

    Raises:
        ArgumentError: if it raises, answers with something else than True or False, or is true for none.
    """
    called, found = quoted(function), []
    for position, node in enumerate(nodes):
        try:
            answer = function(node)
        except Exception as error:
            raise ArgumentError(
                f"{called} raised {type(error).__name__} for node {node.name!r}: {error}",
                f"it is called with each node, which has {', '.join(vars(node))}",
            ) from error
        if not isinstance(answer, bool | np.bool_):
            raise ArgumentError(
                f"{called} returned {shown(answer)} for node {node.name!r}", "return True or False"
            )
        if answer:
            found.append(position)
    if not found:
        raise ArgumentError(f"{called} is true for no node", "return True for the nodes that are meant")
    return tuple(found)


WAY_OUT = "give names or globs as text, a function of a node, or a list of these"


def listed(given: Any, where: str, way_out: str = WAY_OUT) -> list[Any]:
    """A text or a function, or any collection of them, as a list; a set in an order that is always the same.

    Args:
        given: what a person gave.
        where: it was given, such as ``"ignore="``.
        way_out: what to give instead.

    Raises:
        ArgumentError: if it is none of these.

    >>> listed({"b.weight", "a.weight"}, "ignore=")
    ['a.weight', 'b.weight']
    """
    if isinstance(given, str) or callable(given):
        return [given]
    if isinstance(given, bytes | bytearray):
        raise no_name(given, where, way_out)
    try:
        several = list(given)
    except Exception:  # also what an iterator of one's own raises
        raise no_name(given, where, way_out) from None
    return sorted(several, key=repr) if isinstance(given, set | frozenset) else several


def no_name(given: object, where: str, way_out: str = WAY_OUT) -> ArgumentError:
    """The error for what is neither a text nor a function."""
    return ArgumentError(f"{where} has {shown(given)}, which is neither text nor function", way_out)


def quoted(one: object) -> str:
    """A text or a function in words, the same in every run: ``"'stem.*'"``, ``"is_large()"``.

    >>> quoted("stem.*"), quoted(lambda node: node.params > 1000)
    ("'stem.*'", 'a function')
    """
    if not callable(one):
        return shown(one)
    name = getattr(one, "__name__", type(one).__name__)
    return "a function" if name == "<lambda>" else f"{name}()"
