"""Species that do not inherit from ``Species``, or are of older make, completed in one place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nemo_lab.errors import ArgumentError
from nemo_lab.search.species.base import Bits, Genome, OpaqueError, Species
from nemo_lab.search.view import SearchView

NEEDED = ("name", "initial", "offspring", "decode", "imitate")


class AdaptedSpecies(Species):
    """An object that has the members of a species, with the defaults of ``Species`` for those it lacks.

    What was called ``state`` and ``restore`` is taken for ``state_dict`` and ``load_state_dict``.

    Attributes:
        original: the object.
    """

    def __init__(self, original: Any) -> None:
        self.original = original
        self.name = original.name
        self.summary = getattr(original, "summary", "")
        self.final = getattr(original, "final", False)
        self._observe = _method(original, "observe")
        old = _older(original)
        self._state = _method(original, "state" if old else "state_dict")
        self._load = _method(original, "restore" if old else "load_state_dict")

    def initial(self, count: int, rng: np.random.Generator) -> list[Genome]:
        """As the object does."""
        made: list[Genome] = self.original.initial(count, rng)
        return made

    def offspring(self, parents: Sequence[Genome], count: int, rng: np.random.Generator) -> list[Genome]:
        """As the object does."""
        made: list[Genome] = self.original.offspring(parents, count, rng)
        return made

    def decode(self, genome: Genome) -> Bits:
        """As the object does."""
        bits: Bits = self.original.decode(genome)
        return bits

    def imitate(self, bits: Bits, rng: np.random.Generator) -> list[Genome]:
        """As the object does."""
        made: list[Genome] = self.original.imitate(bits, rng)
        return made

    def observe(self, view: SearchView) -> None:
        """As the object does, if it does."""
        if self._observe is not None:
            self._observe(view)

    def state_dict(self) -> Any:
        """Of the object.

        Raises:
            OpaqueError: if it observes the search and does not say what it remembers.
        """
        if self._state is not None:
            return self._state()
        if self._observe is not None:
            raise OpaqueError(f"species {self.name} observes the search and has no method state_dict")
        return None

    def load_state_dict(self, state: Any) -> None:
        """Hand the object its state."""
        if self._load is not None:
            self._load(state)


def adapt_species(given: Any) -> Species:
    """A species from anything with the members of one: itself if it inherits from ``Species``.

    Raises:
        ArgumentError: if it lacks what every species needs.
    """
    if isinstance(given, Species) and not _older(given):
        return given
    missing = [name for name in NEEDED if not hasattr(given, name)]
    if missing:
        raise ArgumentError(
            f"an object of type {type(given).__name__} is not a species: it lacks {', '.join(missing)}",
            "inherit from nemo_lab.search.species.Species, or give the name of one",
        )
    return AdaptedSpecies(given)


def _method(given: Any, name: str) -> Callable[..., Any] | None:
    found = getattr(given, name, None)
    return found if callable(found) else None


def _older(given: Any) -> bool:
    """Whether it saves itself by ``state`` and ``restore``, and no class nearer to it by ``state_dict``."""
    if _method(given, "state") is None or _method(given, "restore") is None:
        return False
    for kind in type(given).__mro__:
        if "state_dict" in vars(kind) or "load_state_dict" in vars(kind):
            return False
        if "state" in vars(kind) or "restore" in vars(kind):
            return True
    return _method(given, "state_dict") is None
