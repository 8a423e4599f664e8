"""Members of species and problems of one's own that look like a misspelt hook, or are of the wrong kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nemo_lab.contract import check_kinds, hooks_of
from nemo_lab.errors import ContractError

SHORT = 5  # letters: up to here a name one letter off is taken for a slip, of longer ones also two


def check_hooks(given: Any, base: type) -> None:
    """Whether the public members of an object, or of a class, are what the base class means by their names.

    A name that resembles a hook is fine where the hook itself stands beside it, as ``observed`` beside
    ``observe``.

    Raises:
        ContractError: at the first that is misspelt, or of the wrong kind; says what it should be.
    """
    for name, beside in _members(given, base):
        hook = _resembled(name, hooks_of(base))
        if hook is not None and hook not in beside:
            raise ContractError(
                f"{name!r} looks like the hook {hook!r}",
                f"call it {hook!r}; if it is something else, give it a name less alike, or begin it with _",
            )
    if not isinstance(given, type):
        check_kinds(given, base)


def _members(given: Any, base: type) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Public members below the base class, each with all that stand beside it in the same place."""
    kind = given if isinstance(given, type) else type(given)
    own = [one for one in kind.__mro__ if one not in base.__mro__]
    places = [{**vars(one).get("__annotations__", {}), **vars(one)} for one in own]
    if kind is not given:
        places.append({**vars(kind), **getattr(given, "__dict__", {})})
    for place in places:
        yield from ((name, place) for name in place if not name.startswith("_"))


def _resembled(name: str, hooks: frozenset[str]) -> str | None:
    """The nearest hook within a slip or two of a name that is none."""
    if name in hooks:
        return None
    near = [(distance(name, hook), hook) for hook in sorted(hooks)]
    slips, hook = min(near)
    return hook if slips <= (1 if len(hook) <= SHORT else 2) else None


def distance(one: str, two: str) -> int:
    """Letters to insert, drop, change, or swap with the next (optimal string alignment).

    >>> distance("obserb", "observe"), distance("offsprings", "offspring"), distance("dceode", "decode")
    (2, 1, 1)
    """
    earlier: list[int] = []
    above = list(range(len(two) + 1))
    for i, a in enumerate(one):
        row = [i + 1]
        for j, b in enumerate(two):
            row.append(min(above[j + 1] + 1, row[j] + 1, above[j] + (a != b)))
            if i and j and a == two[j - 1] and one[i - 1] == b:
                row[-1] = min(row[-1], earlier[j - 1] + 1)
        earlier, above = above, row
    return above[-1]
