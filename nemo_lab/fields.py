"""Frozen records whose fields declare their default, their domain and their meaning in one place.

>>> from nemo_lab.arguments import Whole
>>> from dataclasses import dataclass
>>> @dataclass(frozen=True)
... class Options:
...     size: int = declared(4, Whole(1), "Members of a group.")
...     def __post_init__(self):
...         check_fields(self)
>>> Options(size=0)
Traceback (most recent call last):
    ...
nemo_lab.errors.ArgumentError: size=0; give a whole number of at least 1
>>> differing(Options()), differing(Options(size=5))
({}, {'size': 5})
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from nemo_lab.arguments import Domain
from nemo_lab.errors import UnknownNameError

T = TypeVar("T")


def declared(default: Any, domain: Domain[Any], meaning: str) -> Any:
    """A field of a frozen dataclass, with its default, its domain and what it means."""
    return dataclasses.field(default=default, metadata={"domain": domain, "meaning": meaning})


def check_fields(record: Any) -> None:
    """Check every field of a frozen dataclass, and keep it as plain Python has it."""
    for one in dataclasses.fields(record):
        value = one.metadata["domain"].check(one.name, getattr(record, one.name))
        object.__setattr__(record, one.name, value)


def unchecked(kind: type[T], values: Mapping[str, Any]) -> T:
    """A record as it was made once, with values that may lie outside of today's domains."""
    made = object.__new__(kind)
    for one in dataclasses.fields(kind):  # type: ignore[arg-type]
        object.__setattr__(made, one.name, values.get(one.name, one.default))
    return made


def check_names(kind: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse keywords that are not known.

    Raises:
        UnknownNameError: at the first; the nearest is proposed.
    """
    known = list(known)
    for name in given:
        if name not in known:
            raise UnknownNameError(kind, name, known)


def differing(record: Any) -> dict[str, Any]:
    """The fields of a dataclass that differ from their defaults, by name, in alphabetical order."""
    values = {one.name: (getattr(record, one.name), one.default) for one in dataclasses.fields(record)}
    return {name: value for name, (value, default) in sorted(values.items()) if value != default}


def documented(record: type[T]) -> type[T]:
    """Add to the docstring of a dataclass what its fields declare."""
    lines = [
        f"        {one.name}: {one.metadata['meaning']} {one.metadata['domain'].words[:1].upper()}"
        f"{one.metadata['domain'].words[1:]}; {one.default!r} by default."
        for one in dataclasses.fields(record)  # type: ignore[arg-type]
    ]
    record.__doc__ = "\n".join([str(record.__doc__).rstrip(), "", "    Attributes:", *lines, "    "])
    return record
