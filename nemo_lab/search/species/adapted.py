"""Species of one's own: completed where they lack a default, and held to what the engine relies on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from nemo_lab.contract import NO_SPECIES, check_call, check_kinds
from nemo_lab.errors import ContractError, NemoError, shown
from nemo_lab.search.problem import Problem
from nemo_lab.search.species.base import Bits, Genome, OpaqueError, Species
from nemo_lab.search.view import SearchView

NEEDED = ("name", "initial", "offspring", "decode", "imitate")


class AdaptedSpecies(Species):
    """An object that has the members of a species, with the defaults of ``Species`` for those it lacks.

    What was called ``state`` and ``restore`` is taken for ``state_dict`` and ``load_state_dict``. What the
    search would go wrong with silently is refused: too few genomes, and bit-widths that are none.

    Attributes:
        original: the object.
    """

    def __init__(self, original: Any, problem: Problem) -> None:
        self.original = original
        self.name = original.name
        self.summary = getattr(original, "summary", "")
        self.final = getattr(original, "final", False)
        self._widths = np.array(problem.bit_widths)
        self._nodes = int(problem.num_nodes)
        self._observe = _method(original, "observe")
        old = _older(original)
        self._state = _method(original, "state" if old else "state_dict")
        self._load = _method(original, "restore" if old else "load_state_dict")

    def initial(self, count: int, rng: np.random.Generator) -> list[Genome]:
        """As the object does."""
        return self._counted("initial", self.original.initial(count, rng), count)

    def offspring(self, parents: Sequence[Genome], count: int, rng: np.random.Generator) -> list[Genome]:
        """As the object does."""
        made = self.original.offspring(parents, count, rng)
        return self._counted(f"offspring of {len(parents)} parents", made, count)

    def decode(self, genome: Genome) -> Bits:
        """As the object does."""
        bits = self.original.decode(genome)
        found = np.asarray(bits)
        if found.shape != (self._nodes,) or found.dtype.kind not in "iu":
            self._refuse(
                f"decode returned {found.dtype}{list(found.shape)}",
                f"return uint8[{self._nodes}], one width per node",
            )
        wrong = found[~np.isin(found, self._widths)]
        if len(wrong):
            self._refuse(
                f"decode returned the width {int(wrong.min())}", f"choose from {tuple(self._widths.tolist())}"
            )
        given: Bits = bits
        return given

    def imitate(self, bits: Bits, rng: np.random.Generator) -> list[Genome]:
        """As the object does."""
        way_out = "return a list of just as many; undo() takes back what asked for them"
        return self._counted("imitate", self.original.imitate(bits, rng), len(bits), way_out)

    def _counted(
        self, what: str, genomes: Any, count: int, way_out: str = "return a list of just as many"
    ) -> list[Genome]:
        number = len(genomes) if hasattr(genomes, "__len__") else None
        if number != count:
            got = f"a {type(genomes).__name__}" if number is None else f"{number} genomes"
            self._refuse(f"{what} returned {got}, asked for {count}", way_out)
        made: list[Genome] = genomes
        return made

    def _refuse(self, message: str, hint: str) -> NoReturn:
        raise ContractError(f"species {self.name!r}: {message}", hint)

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
            state = self._state()
            if not _plain(state):
                self._refuse(
                    f"state_dict returned {shown(state)}",
                    "return numbers, texts, arrays of numbers, or lists and dicts with text keys of them",
                )
            return state
        if self._observe is not None:
            raise OpaqueError(f"species {self.name} observes the search and has no method state_dict")
        return None

    def load_state_dict(self, state: Any) -> None:
        """Hand the object its state."""
        if self._load is not None:
            self._load(state)


def adapt_species(given: Any, problem: Problem) -> Species:
    """A species from anything with the members of one: itself if it is one of ours.

    Raises:
        ContractError: if it lacks what every species needs, or a member is of another kind.
    """
    if isinstance(given, Species) and type(given).__module__.startswith("nemo_lab."):
        return given
    missing = [name for name in NEEDED if getattr(given, name, None) is None]
    if missing:
        raise ContractError(
            f"an object of type {type(given).__name__} is not a species: it lacks {', '.join(missing)}",
            "inherit from nemo_lab.search.species.Species, or give the name of one",
        )
    check_kinds(given, Species)
    if not isinstance(given.name, str) or not given.name.strip() or given.name == NO_SPECIES:
        raise ContractError(
            f"name is {shown(given.name)}", f"give a text that is not blank, other than {NO_SPECIES!r}"
        )
    final = getattr(given, "final", False)
    if not isinstance(final, bool):
        raise ContractError(f"final is {shown(final)}", "make it True or False, or leave it out")
    made = AdaptedSpecies(given, problem)
    _check_state(made)
    return made


def _check_state(species: AdaptedSpecies) -> None:
    """Whether what it remembers can be written to a journal, where it says what that is."""
    try:
        species.state_dict()
    except OpaqueError:  # its run is gone through again
        return
    except ContractError:
        raise
    except Exception as error:
        raise ContractError(
            f"species {species.name!r}: state_dict raised {type(error).__name__}: {error}",
            "return what it remembers, None for nothing",
        ) from error


def _plain(state: Any) -> bool:
    """Whether a state is made of what a journal can hold."""
    if isinstance(state, Mapping):
        return all(isinstance(key, str) and _plain(item) for key, item in state.items())
    if isinstance(state, list | tuple):
        return all(map(_plain, state))
    if isinstance(state, np.ndarray | np.generic):
        return state.dtype.kind in "biuf"
    return state is None or isinstance(state, bool | int | float | str | bytes)


def made_by(factory: Any, problem: Problem, options: Any) -> Any:
    """What a class or function of one's own makes, called as species are; anything else as it is.

    Raises:
        ContractError: if it takes other arguments, or is a class without all methods.
    """
    if not callable(factory):
        return factory
    name = getattr(factory, "__name__", type(factory).__name__)
    missing = sorted(getattr(factory, "__abstractmethods__", ()))
    if isinstance(factory, type):
        missing = missing or [
            one for one in NEEDED[1:] if not hasattr(factory, one)
        ]  # its objects have a name
    if missing:
        raise ContractError(
            f"{name} lacks {', '.join(missing)}", "add the members that nemo_lab.search.species.Species lists"
        )
    check_call(factory, name, ("problem", "options"))
    try:
        return factory(problem, options)
    except NemoError:
        raise
    except Exception as error:
        raise ContractError(
            f"{name} raised {type(error).__name__}: {error}", f"it is called as {name}(problem, options)"
        ) from error


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
