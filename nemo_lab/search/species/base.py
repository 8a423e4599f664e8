"""What a species is: a way to make genomes, vary them, and read bit-widths from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint8]
Genome = Any


class Species(Protocol):
    """One species of the search; the engine knows nothing else about it.

    Attributes:
        name: unique in a study.
        summary: one sentence for people.

    All randomness comes from the generator that is passed in.

    Optional members: ``observe(view)``, called with a ``nemo_lab.search.view.SearchView`` before the
    offspring of every generation, for a species that learns from what others found; it draws no random
    numbers and leaves the view as it is. With it come ``state()`` and ``restore(state)``, for what the
    species remembers beside the latest view: numbers, texts, lists, dicts and arrays, so that a run can be
    taken up where it was; ``restore`` comes after ``observe``. ``final``, true if decoded widths are meant as
    they are, so that the option ``lift`` does not widen them.
    """

    name: str
    summary: str

    def initial(self, count: int, rng: np.random.Generator) -> list[Genome]:
        """``count`` new genomes that are nobody's children."""
        ...

    def offspring(self, parents: Sequence[Genome], count: int, rng: np.random.Generator) -> list[Genome]:
        """``count`` children of the parents, which come best first and are not to be changed."""
        ...

    def decode(self, genome: Genome) -> Bits:
        """The bit-width of every node, uint8[Q]."""
        ...

    def imitate(self, bits: Bits, rng: np.random.Generator) -> list[Genome]:
        """For each configuration of bits[N, Q] a genome that decodes to it, or close to it."""
        ...
