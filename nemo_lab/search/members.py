"""What the engine holds and hands out: members, candidates, and the record of each generation."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nemo_lab.search.species import Bits, Genome

NO_SPECIES = -1


@dataclass(eq=False)
class Member:
    """An individual: a genome of a species, and once evaluated its bits and objectives.

    One that ``imitates`` a configuration gets its genome when it is asked for, since fitting a
    graph network takes a while. A hand-made one has bits and no genome, and no offspring. One that was
    ``retried`` has had its other tries, and gets no more if it has to wait again. A ``parent`` is one that
    this generation's children come from. Its ``generation`` is that in which it was first asked for, or -1.
    """

    species: int
    genome: Genome
    origin: str
    bits: Bits | None = None
    objectives: NDArray[np.float64] | None = None
    imitates: Bits | None = None
    retried: bool = False
    parent: bool = False
    generation: int = -1

    @property
    def key(self) -> tuple[int, bytes]:
        """Equal for two members of one species that stand for the same configuration."""
        return (self.species, b"" if self.bits is None else self.bits.tobytes())

    @property
    def asked_for(self) -> bool:
        """Whether a person asked for its configuration, so that it is evaluated in any case."""
        return self.origin in ("projected", "enqueued")

    @property
    def hand_made(self) -> bool:
        """Whether it stands for a configuration only, not for a member of a species."""
        return self.genome is None and self.imitates is None


@dataclass(frozen=True, eq=False)
class Candidate:
    """A configuration that waits for its objectives."""

    bits: Bits
    member: Member = field(repr=False)


@dataclass(frozen=True)
class SpeciesRecord:
    """How one species stood at the end of a generation."""

    species: str
    r2: float
    score: float
    allocation: int
    evaluations: int
    front_share: float


@dataclass(frozen=True)
class GenerationRecord:
    """The end of a generation: every species, and the hypervolume of the front."""

    generation: int
    evaluations: int
    hypervolume: float
    species: tuple[SpeciesRecord, ...]
