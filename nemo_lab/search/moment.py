"""A search as it was before code of one's own was called, to go back to where that fails half-way."""

from __future__ import annotations

import contextlib
import copy
import logging
from collections import deque
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import numpy as np

from nemo_lab.search.archive import Archive
from nemo_lab.search.members import Member
from nemo_lab.search.population import Population
from nemo_lab.search.queue import Queue
from nemo_lab.search.species import Species
from nemo_lab.search.view import SearchView

T = TypeVar("T")
P = ParamSpec("P")
S = TypeVar("S", bound="_Changing")
LOGGER = logging.getLogger(__name__)
NOTHING: Any = object()  # of a species that remembers nothing, or does not say what


class Parts(Protocol):
    """What a search is made of: the ``SearchState``."""

    population: Population
    queue: Queue
    archive: Archive
    rng: np.random.Generator
    view: SearchView | None

    def present(self) -> Iterable[Member]:
        """Everyone who lives or waits."""


class Moment:
    """What a search is made of, kept part by part: each before it is changed, and only then.

    Evaluations are not in it: they are told one by one, and nothing of one's own is called meanwhile.

    Args:
        state: of the search, kept itself from the beginning, and with it who waits.
    """

    def __init__(self, state: Parts) -> None:
        self._state = state
        self._parts: dict[int, tuple[Any, dict[str, Any]]] = {}
        self._random: list[tuple[np.random.Generator, Any]] = []
        self._own: dict[int, tuple[Species, Any]] = {}
        self._whole = False
        self._keep(state)
        self._keep(state.queue)

    def keep_members(self, members: Iterable[Member]) -> None:
        """Keep what members are like."""
        for member in members:
            self._parts.setdefault(id(member), (member, vars(member).copy()))

    def keep_species(self, position: int) -> None:
        """Keep what a species remembers, and its random numbers, before it is called."""
        population = self._state.population
        if position in self._own:
            return
        rng = population.streams[position]
        self._random.append((rng, rng.bit_generator.state))
        species, own = population.species[position], NOTHING
        with contextlib.suppress(Exception):  # it need not say; then only what it saw is shown again
            own = copy.deepcopy(species.state_dict())
        self._own[position] = (species, NOTHING if own is None else own)

    def keep_all(self) -> None:
        """Keep everything else, too."""
        if self._whole:
            return
        state, population = self._state, self._state.population
        self._memory = population.ranking.memory
        self._random += [(rng, rng.bit_generator.state) for rng in (state.rng, population.rng)]
        self._keep(population)
        self._keep(state.archive)
        self._keep(state.archive.pareto)
        self.keep_members(state.present())
        self._whole = True

    def come_back(self, back: Callable[[], None] | None) -> None:
        """Be again as in that moment, after ``back``. A second Ctrl-C does not leave that half done."""
        view = self._state.view
        while True:
            try:
                if back is not None:
                    back()
                self._come_back(view)
                return
            except KeyboardInterrupt:
                continue

    def _keep(self, part: Any) -> None:
        if id(part) not in self._parts:
            self._parts[id(part)] = (part, {name: _apart(value) for name, value in vars(part).items()})

    def _come_back(self, seen: SearchView | None) -> None:
        for part, kept in self._parts.values():
            plain = isinstance(part, Member)
            vars(part).update(kept if plain else {name: _apart(value) for name, value in kept.items()})
        for rng, random in self._random:
            rng.bit_generator.state = random
        if self._whole:
            self._state.population.ranking.memory = self._memory
        while self._own:
            _, (species, own) = self._own.popitem()
            if own is not NOTHING or self._state.view is not seen:
                self._tell(species, own)

    def _tell(self, species: Species, own: Any) -> None:
        """Give a species back what it remembered; who fails in that, too, goes on with what it has."""
        try:
            if self._state.view is not None:
                species.observe(self._state.view)
            if own is not NOTHING:
                species.load_state_dict(own)
        except Exception:
            LOGGER.warning("species %s could not be brought back", species.name, exc_info=True)


def _apart(value: Any) -> Any:
    """The same, apart from what is changed in place: lists, queues, and arrays that can be written."""
    if isinstance(value, list):
        return [_apart(item) if isinstance(item, list) else item for item in value]
    if isinstance(value, deque) or (isinstance(value, np.ndarray) and value.flags.writeable):
        return value.copy()
    return value


class _Whole(Protocol):
    def whole(self, work: Callable[[], T]) -> T: ...


class _Changing(Protocol):
    @property
    def _state(self) -> _Whole: ...


def as_a_whole(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """A method of something that changes a state, done as a whole; see ``SearchState.whole``."""

    @wraps(method)
    def done(self: S, /, *given: P.args, **named: P.kwargs) -> T:
        return self._state.whole(lambda: method(self, *given, **named))

    return done
