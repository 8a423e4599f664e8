"""From the names, classes and objects that people give to species."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nemo_lab.arguments import Domain, Several
from nemo_lab.errors import ArgumentError
from nemo_lab.search import Problem, SearchOptions
from nemo_lab.search.species import NAMES, Genome, Species, by_name, make_species


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
        _check_names(given, found)
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
        _check_names([given], [made])
        self._own[made.name] = given
        return made


def _check_names(given: Sequence[Any], made: Sequence[Species]) -> None:
    """Refuse a species of one's own called as one of ours: neither script nor journal tell them apart.

    Raises:
        ArgumentError: if there is one.
    """
    for item, one in zip([given] if isinstance(given, str) else given, made, strict=True):
        if isinstance(item, str) or one.name not in NAMES:
            continue
        ours = by_name(one.name)
        if not any(kind is ours for kind in (item, type(item), type(one))):
            called = getattr(item, "__name__", type(item).__name__)
            raise ArgumentError(
                f"your {called} is called {one.name!r}, as a species of nemo_lab's is",
                "give its class a name of its own, such as name = 'mine'",
            )
