"""What a user declares about quantizers: which stay in full precision, which share a decision.

Both are asked of the graph as it is before: a node for every quantizer, nothing left out or tied.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from nemo_lab.errors import ArgumentError
from nemo_lab.workload.matching import fitting, inside, listed, quoted
from nemo_lab.workload.names import Called, NameResolver
from nemo_lab.workload.records import FullPrecision


def ignored(
    names: NameResolver, parts: Sequence[FullPrecision], given: Called | Iterable[Called]
) -> tuple[set[str], set[str]]:
    """Names of the quantizers, and of the parts in full precision anyway, that are to be ignored.

    Args:
        names: of all quantizers.
        parts: what cannot be quantized; a text may name these, too, by name, module, glob or operation.
        given: see ``nemo_lab.workload.names``, such as ``"classifier"`` or ``"blocks.*.attn"``.

    Raises:
        UnknownNameError: if a text names nothing.
        ArgumentError: if something is neither text nor function, or a function cannot be used.
    """
    left_out: set[str] = set()
    declared: set[str] = set()
    for one in listed(given, "ignore="):
        found = names.look_up(one, "ignore=")
        also = _parts(parts, one, exactly=found is not None and found.by != "glob")
        if found is None and not also:
            names.find(one, "ignore=", "quantizer")  # raises, and proposes a name
        if found is not None and not (found.by == "glob" and _parts(parts, one, exactly=True)):
            left_out |= {names.nodes[node].name for node in found.nodes}
        declared |= also
    return left_out, declared


def _parts(parts: Sequence[FullPrecision], one: Any, *, exactly: bool) -> set[str]:
    """Names of the parts that a text names; what exists under ``exactly`` that name is not read as a glob."""
    if not isinstance(one, str):
        return set()
    known = [part.name for part in parts]
    found = inside(known, one) or ([] if exactly else fitting(known, one))
    return set(found or [part.name for part in parts if part.op == one])


def tied(
    names: NameResolver,
    groups: Iterable[Called | Iterable[Called]],
    left_out: set[str],
    beside: set[str],
) -> dict[str, str]:
    """Every tied quantizer's name -> the name of the first of its group in execution order.

    Groups that share a quantizer become one.

    Args:
        names: of all quantizers.
        groups: each several texts or functions, see ``nemo_lab.workload.names``; one glob, kind or function
            may be a whole group.
        left_out: names that are ignored, and cannot be tied.
        beside: names of the activations that are not quantized by choice, and cannot be tied either.

    Raises:
        UnknownNameError: if a text names nothing.
        ArgumentError: if a group is not such a collection, has fewer than two quantizers, or one that is
            left out.
    """
    way_out = "give a list of groups: tie=[('a.weight', 'b.weight')]"
    merged: list[set[int]] = []
    if isinstance(groups, str) or callable(groups):
        raise ArgumentError(f"tie={quoted(groups)} is one name", way_out)
    for group in listed(groups, "tie=", way_out):
        several = listed(group, "tie=")
        chosen = {node for one in several for node in names.find(one, "tie=", "quantizer").nodes}
        if len(chosen) < 2:
            one = group if isinstance(group, str) or callable(group) else tuple(several)
            raise ArgumentError(
                f"tie group {quoted(one)} names {len(chosen)} quantizer", f"name two or more, and {way_out}"
            )
        tied_names = sorted(names.nodes[node].name for node in chosen)
        if both := [name for name in tied_names if name in left_out]:
            raise ArgumentError(f"{both[0]!r} is both tied and ignored", "declare one of the two")
        if alone := [name for name in tied_names if name in beside]:
            raise ArgumentError(
                f"{alone[0]!r} is tied, but which activations are quantized leaves it out",
                "trace with activations='all', or take it out of the group",
            )
        for other in [known for known in merged if known & chosen]:
            merged.remove(other)
            chosen |= other
        merged.append(chosen)
    return {names.nodes[node].name: names.nodes[min(nodes)].name for nodes in merged for node in nodes}
