"""Commands about species: new members, who takes part, who stays as it is, and with what share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nemo_lab.errors import StorageError
from nemo_lab.search import Engine, Ledger, Problem
from nemo_lab.search.reseeding import NEEDS_FRONT, SOURCES
from nemo_lab.search.species import Bits, Species
from nemo_lab.study.commands.base import Command, Evaluate


@dataclass(frozen=True)
class Reseed(Command):
    """Replace the worst part of a species."""

    action = "reseed"
    species: str
    source: Any
    fraction: float

    def decide(self, ledger: Ledger, evaluations: int) -> Ledger:  # noqa: D102
        return ledger.reseed(self.species)

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        wanted: str | Bits
        if isinstance(self.source, str):
            wanted = self.source
            if wanted in NEEDS_FRONT and not len(engine.evaluations):
                wanted = "random"
            label = wanted
        else:
            wanted = engine.evaluations.bits[np.asarray(self.source, dtype=np.intp)]
            label = "configurations " + ", ".join(map(str, self.source))
        position = engine.ledger.species.index(self.species)
        count = engine.steering.reseed(position, wanted, self.fraction)
        return f"{self.species} from {label}, {count} members"

    def sound(self, problem: Problem) -> bool:  # noqa: D102
        named = isinstance(self.source, str) and self.source in SOURCES
        listed = isinstance(self.source, list) and all(type(one) is int and one >= 0 for one in self.source)
        return (named or listed) and type(self.fraction) is float and 0 < self.fraction <= 1

    def call(self, problem: Problem) -> str:  # noqa: D102
        return f"reseed({self.species!r}, {self.source!r}, {self.fraction!r})"


@dataclass(frozen=True)
class AddSpecies(Command):
    """Let a species take part from now on; ``made`` is the species itself, which no journal holds."""

    action = "add_species"
    name: str
    made: Species | None = field(default=None, repr=False)

    def decide(self, ledger: Ledger, evaluations: int) -> Ledger:  # noqa: D102
        return ledger.enter(self.name)

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        if self.made is None:
            raise StorageError(
                f"species {self.name!r} is not there", "give it: load_study(path, species=[...])"
            )
        engine.steering.add_species(self.made)
        return self.name

    def call(self, problem: Problem) -> str:  # noqa: D102
        return f"add_species({self.name!r})"

    @property
    def arguments(self) -> dict[str, Any]:  # noqa: D102
        return {"name": self.name}


@dataclass(frozen=True)
class RemoveSpecies(Command):
    """Let a species take no part any more."""

    action = "remove_species"
    name: str

    def decide(self, ledger: Ledger, evaluations: int) -> Ledger:  # noqa: D102
        return ledger.remove(self.name)

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        engine.steering.remove_species(self.name)
        return self.name

    def call(self, problem: Problem) -> str:  # noqa: D102
        return f"remove_species({self.name!r})"


@dataclass(frozen=True)
class Freeze(Command):
    """Keep the members of a species as they are, or let them go on."""

    action = "freeze"
    name: str
    frozen: bool = True

    def decide(self, ledger: Ledger, evaluations: int) -> Ledger:  # noqa: D102
        return ledger.freeze(self.name, self.frozen)

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        engine.steering.freeze(self.name, self.frozen)
        return self.name if self.frozen else f"{self.name} goes on"

    def call(self, problem: Problem) -> str:  # noqa: D102
        return f"freeze({self.name!r}, frozen={self.frozen})"


@dataclass(frozen=True)
class Share(Command):
    """Give a species a share of all members, or leave it to UCB again."""

    action = "share"
    name: str
    part: float | None

    def decide(self, ledger: Ledger, evaluations: int) -> Ledger:  # noqa: D102
        return ledger.share(self.name, self.part)

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        engine.steering.share(self.name, self.part)
        return f"{self.name} " + ("by UCB" if self.part is None else f"{100 * self.part:.3g} %")

    def sound(self, problem: Problem) -> bool:  # noqa: D102
        return self.part is None or (type(self.part) is float and 0 < self.part < 1)

    def call(self, problem: Problem) -> str:  # noqa: D102
        return f"share({self.name!r}, {self.part!r})"


SPECIES_COMMANDS: tuple[type[Command], ...] = (Reseed, AddSpecies, RemoveSpecies, Freeze, Share)
