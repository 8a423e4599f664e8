"""From the names, classes and objects that people give to species."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nemo_lab.arguments import Domain, Several
from nemo_lab.search import Problem, SearchOptions
from nemo_lab.search.species import Genome, Species, make_species


@dataclass(frozen=True)
class _SpeciesLike(Domain[Any]):
    """A name, a class or another factory, or an object of a class of one's own."""

    def clean(self, value: Any) -> Any:
        if not isinstance(value, str) and not callable(value) and not hasattr(value, "__dict__"):
            raise ValueError
        return value


LIKE_A_SPECIES = _SpeciesLike(words="the name of a species, or a class or object of your own")
SPECIES = Several(LIKE_A_SPECIES, words="names of species, or classes and objects of your own, in a list")


class SpeciesMaker:
    """Makes species of a study: ours by name, and people's own, by name too once they were given.

    Args:
        problem, options: of the study.
        own: name -> class or object of the caller's.
        inherited: name -> graph networks that a species begins with.
    """

    def __init__(
        self,
        problem: Problem,
        options: SearchOptions,
        own: Mapping[str, Any],
        inherited: Mapping[str, Sequence[Genome]],
    ) -> None:
        self._problem, self._options, self._own = problem, options, dict(own)
        self._inherited = inherited

    def all(self, given: Sequence[Any]) -> tuple[Species, ...]:
        """Those that a study begins with; see ``make_species``."""
        found = make_species(given, self._problem, self._options)
        for one in found:
            if one.name in self._inherited:
                one.inherit(self._inherited[one.name])
        return found

    def named(self, name: str) -> Species:
        """A new species by name; UnknownNameError if nothing is called so."""
        return self.all([self._own.get(name, name)])[0]

    def made(self, given: Any) -> Species:
        """A new species from what ``create_study(species=...)`` takes; its name gives it from now on."""
        if isinstance(given, str):
            return self.named(given)
        LIKE_A_SPECIES.check("species", given)
        made = make_species([given], self._problem, self._options)[0]
        self._own[made.name] = given
        return made
