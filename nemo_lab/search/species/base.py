"""What a species is: a way to make genomes, vary them, and read bit-widths from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.search.view import SearchView

Bits = NDArray[np.uint8]
Genome = Any


class OpaqueError(Exception):
    """Something in the engine is of a kind that cannot be written down: a genome, or a species' own state."""


class Species(ABC):
    """One species of the search; the engine knows nothing else about it.

    Four methods make a species, and ``name`` and ``summary``; the other hooks have defaults that do nothing.
    All randomness comes from the generator that is passed in. ``nemo_lab.testing.check_species`` runs a
    species of your own through all of this, and finds hooks that are misspelt.

    Attributes:
        name: unique in a study.
        summary: one sentence for people.
        final: whether decoded widths are meant as they are, so that the option ``lift`` does not widen them.
        reads_sensitivity: whether it makes something of ``SearchView.sensitivity``.
    """

    name: str
    summary: str
    final: bool = False
    reads_sensitivity: bool = False

    @abstractmethod
    def initial(self, count: int, rng: np.random.Generator) -> list[Genome]:
        """``count`` new genomes that are nobody's children."""

    @abstractmethod
    def offspring(self, parents: Sequence[Genome], count: int, rng: np.random.Generator) -> list[Genome]:
        """``count`` children of the parents, which come best first and are not to be changed."""

    @abstractmethod
    def decode(self, genome: Genome) -> Bits:
        """The bit-width of every node, uint8[Q]."""

    @abstractmethod
    def imitate(self, bits: Bits, rng: np.random.Generator) -> list[Genome]:
        """For each configuration of bits[N, Q] a genome that decodes to it, or close to it."""

    def inherit(self, genomes: Sequence[Genome]) -> None:
        """Begin with genomes that were evolved on another problem; called right after it is made.

        Only of those of ours that are transferred. Does nothing by default.
        """
        return

    def observe(self, view: SearchView) -> None:
        """Called before the offspring of every generation, for a species that learns from what others found.

        It draws no random numbers and leaves the view as it is. Does nothing by default.
        """
        return

    def state_dict(self) -> Any:
        """What the species remembers beside the latest view, so that a run goes on where it was.

        Numbers, texts, lists, dicts with text keys and arrays; tuples come back as lists. By default None,
        for a species that remembers nothing.

        Raises:
            OpaqueError: by default, if the species observes the search: nobody knows what it remembers. Its
                run is gone through again when it is taken up.
        """
        if type(self).observe is not Species.observe:
            raise OpaqueError(f"species {self.name} observes the search and has no method state_dict")
        return None

    def load_state_dict(self, state: Any) -> None:
        """Go on from a state, after ``observe`` has shown the latest view. Does nothing by default.

        Also called on a species that has gone on from there: the search goes back where something fails.
        """
        return
