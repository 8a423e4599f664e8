"""A search as it was before code of one's own was called, to go back to where that fails half-way."""

from __future__ import annotations

import contextlib
import copy
import logging
from collections import deque
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

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

    @property
    def species(self) -> int:
        """How many there are."""
        return len(self._state.population.species)

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


class Reversible:
    """Something made of ``Parts`` of which every change is made as a whole, or not at all.

    Attributes:
        moment: to which all goes back if what is being done fails, None between.
    """

    def __init__(self) -> None:
        self.moment: Moment | None = None

    def whole(
        self, work: Callable[[], T], back: Callable[[], None] | None = None, *, all_of_it: bool = True
    ) -> T:
        """Do something that is done as a whole: where it fails, all is as before.

        Whatever calls code of one's own while it changes the search goes through here: a species or a
        problem may raise anywhere, and Ctrl-C can come anywhere. What is done inside of something that is
        done as a whole belongs to it.

        Args:
            work: to be done.
            back: puts back what else was changed by it, where it fails; may be called twice.
            all_of_it: whether it changes anything; else only the queue, and what it keeps of ``moment``
                before it changes that.
        """
        if self.moment is not None:
            if all_of_it:
                self.moment.keep_all()
            return work()
        moment = None
        try:
            moment = Moment(cast("Parts", self))
            if all_of_it:
                moment.keep_all()
            self.moment = moment
            done = work()
            self.moment = None  # from here on it stands
            return done
        except BaseException:
            if self.moment is not None and moment is not None:
                moment.come_back(back)
            raise

    def apart(self, work: Callable[[], T]) -> T:
        """As ``whole`` of the queue alone; inside of something larger, too, it is taken back by itself."""
        outer = self.moment
        if outer is None:
            return self.whole(work, all_of_it=False)
        outer.keep_all()
        for position in range(outer.species):
            outer.keep_species(position)
        self.moment = None
        try:
            return self.whole(work, all_of_it=False)
        finally:
            self.moment = outer

    def keep(self, member: Member) -> None:
        """Note that a member is about to change."""
        if self.moment is not None:
            self.moment.keep_members([member])

    def keep_species(self, species: int) -> None:
        """Note that a species is about to be called."""
        if self.moment is not None:
            self.moment.keep_species(species)


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
