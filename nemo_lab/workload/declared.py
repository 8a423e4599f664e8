"""What a user declares about quantizers: which stay in full precision, which share a decision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from nemo_lab.errors import ArgumentError, UnknownNameError
from nemo_lab.workload.records import Quantizer


def ignored(
    quantizers: Sequence[Quantizer], parts: Sequence[str], patterns: str | Iterable[str]
) -> tuple[set[str], set[str]]:
    """Names of the quantizers, and of the parts in full precision anyway, that a pattern names.

    Args:
        quantizers: all of them.
        parts: names of what cannot be quantized.
        patterns: names, aliases, modules or globs, such as ``"classifier"`` or ``"blocks.*.attn.*"``.

    Raises:
        UnknownNameError: if a pattern names none.
        ArgumentError: if ``patterns`` are not text.
    """
    given = [patterns] if isinstance(patterns, str) else _listed("ignore", patterns)
    left_out: set[str] = set()
    declared: set[str] = set()
    for pattern in given:
        also = [part for part in parts if _fits(part, pattern, "ignore")]
        left_out |= set(_matches(quantizers, pattern, "ignore", needed=not also))
        declared |= set(also)
    return left_out, declared


def tied(
    quantizers: Sequence[Quantizer], groups: Iterable[Sequence[str]], left_out: set[str]
) -> dict[str, str]:
    """Every tied quantizer's name -> the name of the first of its group in execution order.

    Groups that share a quantizer become one.

    Args:
        quantizers: all of them, in execution order.
        groups: each a sequence of names, aliases, modules or globs; one glob may be a whole group.
        left_out: names that stay in full precision and cannot be tied.

    Raises:
        UnknownNameError: if a pattern names none.
        ArgumentError: if a group is no sequence of text, has fewer than two quantizers, or one that is
            left out.
    """
    way_out = "give a list of groups: tie=[('a.weight', 'b.weight')]"
    order = {quantizer.name: place for place, quantizer in enumerate(quantizers)}
    merged: list[set[str]] = []
    if isinstance(groups, str):
        raise ArgumentError(f"tie={groups!r} is one name", way_out)
    for group in _listed("tie", groups):
        patterns = [group] if isinstance(group, str) else _listed("tie", group)
        names = {name for pattern in patterns for name in _matches(quantizers, pattern, "tie")}
        if len(names) < 2:
            raise ArgumentError(
                f"tie group {group!r} names {len(names)} quantizer", f"name two or more, and {way_out}"
            )
        if names & left_out:
            raise ArgumentError(
                f"{min(names & left_out)!r} is both tied and ignored", "declare one of the two"
            )
        for other in [known for known in merged if known & names]:
            merged.remove(other)
            names |= other
        merged.append(names)
    return {name: min(names, key=order.__getitem__) for names in merged for name in names}


def _listed(what: str, given: Any) -> list[Any]:
    if not isinstance(given, Iterable):
        raise ArgumentError(f"{what}= has a {type(given).__name__}", "give names or globs of quantizers")
    return list(given)


def _fits(name: str, pattern: object, what: str) -> bool:
    if not isinstance(pattern, str):
        raise ArgumentError(f"{what}= has a {type(pattern).__name__}", "give names or globs of quantizers")
    return name == pattern or name.startswith(f"{pattern}.") or fnmatchcase(name, pattern)


def _matches(
    quantizers: Sequence[Quantizer], pattern: object, what: str, *, needed: bool = True
) -> list[str]:
    found = [q.name for q in quantizers if any(_fits(name, pattern, what) for name in (q.name, *q.aliases))]
    if needed and not found:
        raise UnknownNameError("quantizer", pattern, [q.name for q in quantizers])
    return found
