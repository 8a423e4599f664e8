"""The species of the search, and how a study gets them by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nemo_lab.errors import ArgumentError, UnknownNameError
from nemo_lab.search.options import SearchOptions
from nemo_lab.search.problem import Problem
from nemo_lab.search.species.adapted import adapt_species, made_by
from nemo_lab.search.species.base import Bits, Genome, OpaqueError, Species

__all__ = ["NAMES", "Bits", "Genome", "OpaqueError", "Species", "adapt_species", "make_species"]

NAMES = ("continuous", "floor", "gcn", "unet", "integer", "surrogate")
SpeciesFactory = Callable[[Problem, SearchOptions], Species]


def by_name(name: str) -> SpeciesFactory:
    """The class of one of ours; UnknownNameError on any other name."""
    if name in ("continuous", "floor"):
        from nemo_lab.search.species import real

        return {"continuous": real.ContinuousSpecies, "floor": real.FloorSpecies}[name]
    if name in ("gcn", "unet"):
        from nemo_lab.search.species import graph

        return {"gcn": graph.GcnSpecies, "unet": graph.UnetSpecies}[name]
    if name == "integer":
        from nemo_lab.search.species.integer import IntegerSpecies

        return IntegerSpecies
    if name == "surrogate":
        from nemo_lab.search.species.surrogate import SurrogateSpecies

        return SurrogateSpecies
    raise UnknownNameError("species", name, NAMES)


def make_species(given: Sequence[Any], problem: Problem, options: SearchOptions) -> tuple[Species, ...]:
    """The species of a study: each given by name, as a factory (problem, options), or ready made.

    Raises:
        UnknownNameError: on a name that is none of ``NAMES``.
        ArgumentError: if there is none, two have the same name, or one is not what a species has to be.
    """
    if isinstance(given, str):
        given = (given,)
    species: list[Species] = []
    for item in given:
        if isinstance(item, str):
            item = by_name(item)
        species.append(adapt_species(made_by(item, problem, options), problem))
    names = [one.name for one in species]
    if not names:
        raise ArgumentError("no species given", f"choose from {', '.join(NAMES)}")
    if len(set(names)) < len(names):
        raise ArgumentError(f"species {', '.join(names)} repeat a name", "give each a name of its own")
    return tuple(species)
