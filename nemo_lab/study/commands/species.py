"""Commands about species: new members, who takes part, who stays as it is, and with what share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from nemo_lab.search import Engine, Problem
from nemo_lab.search.reseed_sources import SOURCES
from nemo_lab.search.species import Bits, Species
from nemo_lab.study.commands.search import Command, Evaluate


def _position(engine: Engine, name: str) -> int:
    return [one.name for one in engine.species].index(name)


@dataclass(frozen=True)
class Reseed(Command):
    """Replace the worst part of a species."""

    action = "reseed"
    species: str
    source: Any
    fraction: float

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        wanted: str | Bits
        if isinstance(self.source, str):
            wanted = self.source
            if wanted in ("front", "sensitivity") and not len(engine.evaluations):
                wanted = "random"
            label = wanted
        else:
            wanted = engine.evaluations.bits[np.asarray(self.source, dtype=np.intp)]
            label = "configurations " + ", ".join(map(str, self.source))
        count = engine.reseed(_position(engine, self.species), wanted, self.fraction)
        return f"{self.species} from {label}, {count} members"

    def sound(self, problem: Problem) -> bool:  # noqa: D102
        named = isinstance(self.source, str) and self.source in SOURCES
        listed = isinstance(self.source, list) and all(type(one) is int and one >= 0 for one in self.source)
        return (named or listed) and type(self.fraction) is float and 0 < self.fraction <= 1

    def call(self, problem: Problem) -> str:  # noqa: D102
        return f"reseed({self.species!r}, {self.source!r}, {self.fraction!r})"


@dataclass(frozen=True)
class AddSpecies(Command):
    """Let a species take part from now on."""

    action = "add_species"
    name: str
    made: Species = field(repr=False)

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        engine.add_species(self.made)
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

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        now, s = engine.controls, _position(engine, self.name)
        left = engine.controls.breeding(len(engine.species))
        if left == [s]:
            return f"{self.name} stays: no other has children"
        shares = _without(now.shares, s)
        engine.control(replace(now, removed=now.removed | {s}, frozen=now.frozen - {s}, shares=shares))
        return self.name

    def call(self, problem: Problem) -> str:  # noqa: D102
        return f"remove_species({self.name!r})"


@dataclass(frozen=True)
class Freeze(Command):
    """Keep the members of a species as they are, or let them go on."""

    action = "freeze"
    name: str
    frozen: bool = True

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        now, s = engine.controls, _position(engine, self.name)
        if self.frozen and now.breeding(len(engine.species)) == [s]:
            return f"{self.name} goes on: no other has children"
        engine.control(replace(now, frozen=now.frozen | {s} if self.frozen else now.frozen - {s}))
        return self.name if self.frozen else f"{self.name} goes on"

    def call(self, problem: Problem) -> str:  # noqa: D102
        return f"freeze({self.name!r}, frozen={self.frozen})"


@dataclass(frozen=True)
class Share(Command):
    """Give a species a share of all members, or leave it to UCB again."""

    action = "share"
    name: str
    part: float | None

    def apply(self, engine: Engine, evaluate: Evaluate) -> str:  # noqa: D102
        now, s = engine.controls, _position(engine, self.name)
        shares = _without(now.shares, s)
        engine.control(replace(now, shares=shares if self.part is None else {**shares, s: self.part}))
        return f"{self.name} " + ("by UCB" if self.part is None else f"{100 * self.part:.3g} %")

    def sound(self, problem: Problem) -> bool:  # noqa: D102
        return self.part is None or (type(self.part) is float and 0 < self.part < 1)

    def call(self, problem: Problem) -> str:  # noqa: D102
        return f"share({self.name!r}, {self.part!r})"


def _without(shares: Mapping[int, float], species: int) -> dict[int, float]:
    return {s: share for s, share in shares.items() if s != species}


SPECIES_COMMANDS: tuple[type[Command], ...] = (Reseed, AddSpecies, RemoveSpecies, Freeze, Share)
