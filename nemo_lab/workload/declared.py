"""What a user declares about quantizers: which stay in full precision, which share a decision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from nemo_lab.errors import ArgumentError, UnknownNameError
from nemo_lab.workload.records import Quantizer


def ignored(quantizers: Sequence[Quantizer], patterns: str | Iterable[str]) -> set[str]:
    """Names of the quantizers that a pattern names.

    Args:
        quantizers: all of them.
        patterns: names, aliases or globs such as ``"classifier.*"``.

    Raises:
        UnknownNameError: if a pattern names none.
        ArgumentError: if ``patterns`` are not text.
    """
    given = [patterns] if isinstance(patterns, str) else patterns
    return {name for pattern in given for name in _matches(quantizers, pattern, "ignore")}


def tied(
    quantizers: Sequence[Quantizer], groups: Iterable[Sequence[str]], left_out: set[str]
) -> dict[str, str]:
    """Every tied quantizer's name -> the name of the first of its group in execution order.

    Groups that share a quantizer become one.

    Args:
        quantizers: all of them, in execution order.
        groups: each a sequence of names, aliases or globs; one glob may be a whole group.
        left_out: names that stay in full precision and cannot be tied.

    Raises:
        UnknownNameError: if a pattern names none.
        ArgumentError: if a group is no sequence of text, has fewer than two quantizers, or one that is
            left out.
    """
    order = {quantizer.name: place for place, quantizer in enumerate(quantizers)}
    merged: list[set[str]] = []
    if isinstance(groups, str):
        raise ArgumentError(
            f"tie={groups!r} is one name", "give a list of groups: tie=[('a.weight', 'b.weight')]"
        )
    for group in groups:
        patterns = [group] if isinstance(group, str) else group
        names = {name for pattern in patterns for name in _matches(quantizers, pattern, "tie")}
        if len(names) < 2:
            raise ArgumentError(f"tie group {group!r} names {len(names)} quantizer", "name two or more")
        if names & left_out:
            raise ArgumentError(
                f"{sorted(names & left_out)[0]!r} is both tied and ignored", "declare one of the two"
            )
        for other in [known for known in merged if known & names]:
            merged.remove(other)
            names |= other
        merged.append(names)
    return {name: min(names, key=order.__getitem__) for names in merged for name in names}


def _matches(quantizers: Sequence[Quantizer], pattern: object, what: str) -> list[str]:
    if not isinstance(pattern, str):
        raise ArgumentError(f"{what}= has a {type(pattern).__name__}", "give names or globs of quantizers")
    found = [
        quantizer.name
        for quantizer in quantizers
        if any(name == pattern or fnmatchcase(name, pattern) for name in (quantizer.name, *quantizer.aliases))
    ]
    if not found:
        raise UnknownNameError("quantizer", pattern, [q.name for q in quantizers])
    return found
