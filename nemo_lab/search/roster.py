"""Members as columns of plain numbers and arrays, each saved once however many lists it stands in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from nemo_lab.search.members import Member
from nemo_lab.search.species import Genome, OpaqueError

PLAIN = ("species", "origin", "retried", "parent")
VECTORS = ("bits", "objectives", "imitates")


class Roster:
    """Numbers the members of a search, so that its parts can name them when they are saved.

    Args:
        members: in any order; one that comes twice is numbered once.
    """

    def __init__(self, members: Iterable[Member]) -> None:
        self.members = list(dict.fromkeys(members))
        self._number = {member: i for i, member in enumerate(self.members)}

    def numbers(self, members: Iterable[Member]) -> list[int]:
        """What the members are called in what is saved."""
        return [self._number[member] for member in members]

    def named(self, numbers: Iterable[int]) -> list[Member]:
        """The members of these numbers."""
        return [self.members[i] for i in numbers]

    def state_dict(self) -> dict[str, Any]:
        """Columns; vectors that are missing are left out of their matrix, and genomes go by shape.

        Raises:
            OpaqueError: if a genome is neither an array nor a sequence of arrays.
        """
        members = self.members
        columns: dict[str, Any] = {name: [getattr(member, name) for member in members] for name in PLAIN}
        columns["generation"] = [member.generation for member in members]
        for name in VECTORS:
            rows = [i for i, member in enumerate(members) if getattr(member, name) is not None]
            values = [getattr(members[i], name) for i in rows]
            columns[name] = {"rows": rows, "values": np.array(values) if rows else None}
        groups: dict[tuple[Any, ...], list[int]] = {}
        for i, member in enumerate(members):
            if member.genome is not None:
                groups.setdefault(_shape(member.genome), []).append(i)
        columns["genomes"] = [
            {"rows": rows, "sequence": shape[0], "parts": _stack([members[i].genome for i in rows], shape[0])}
            for shape, rows in groups.items()
        ]
        return columns

    @classmethod
    def from_state(cls, columns: Mapping[str, Any]) -> Roster:
        """Back from ``state_dict``."""
        members = [
            Member(species=species, genome=None, origin=origin, retried=retried, parent=parent)
            for species, origin, retried, parent in zip(*(columns[name] for name in PLAIN), strict=True)
        ]
        for member, generation in zip(members, columns.get("generation", ()), strict=False):
            member.generation = generation
        for name in VECTORS:
            for position, i in enumerate(columns[name]["rows"]):
                setattr(members[i], name, np.array(columns[name]["values"][position]))
        for group in columns["genomes"]:
            for position, i in enumerate(group["rows"]):
                parts = [np.array(part[position]) for part in group["parts"]]
                sequence = group["sequence"]
                whole: Genome = tuple(parts) if sequence == "tuple" else parts
                members[i].genome = parts[0] if sequence is None else whole
        return cls(members)


def _shape(genome: Genome) -> tuple[Any, ...]:
    """Equal for genomes that can be stacked."""
    if isinstance(genome, np.ndarray) and genome.dtype.kind in "iufb":
        return (None, genome.shape, genome.dtype.str)
    whole = isinstance(genome, tuple | list) and len(genome)
    if whole and all(isinstance(part, np.ndarray) and part.dtype.kind in "iufb" for part in genome):
        return (type(genome).__name__, *((part.shape, part.dtype.str) for part in genome))
    raise OpaqueError(f"a genome is a {type(genome).__name__}")


def _stack(genomes: Sequence[Genome], sequence: str | None) -> list[np.ndarray]:
    if sequence is None:
        return [np.stack(genomes)]
    return [np.stack(parts) for parts in zip(*genomes, strict=True)]
