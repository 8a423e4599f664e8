"""How people steer the species of a run: new members, who takes part, and with what share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from nemo_lab.arguments import Flag, Number, OrNone
from nemo_lab.errors import ArgumentError, UnknownNameError
from nemo_lab.search import Ledger
from nemo_lab.search.reseeding import SOURCES
from nemo_lab.search.species import NAMES
from nemo_lab.study.commands.species import AddSpecies, Freeze, RemoveSpecies, Reseed, Share
from nemo_lab.study.parsing.configs import known_configs
from nemo_lab.study.parsing.species import SpeciesMaker
from nemo_lab.study.run.notices import notice
from nemo_lab.study.run.runner import Runner

FRACTION = Number(0.0, 1.0, open="low", words="a number above 0 and up to 1")
SHARE = OrNone(Number(0.0, 1.0, open="both"), words="a number above 0 and below 1, or None for UCB")


class SpeciesSteering:
    """The part of a ``Study`` that steers its species; see ``Steering``.

    Args:
        runner: of the study.
        maker: of species.
    """

    def __init__(self, runner: Runner, maker: SpeciesMaker) -> None:
        self._runner, self._maker = runner, maker

    def reseed(self, species: str, source: str | Sequence[int] = "random", fraction: float = 1.0) -> None:
        """Replace the worst part of a species by new members, evaluated next.

        Args:
            species: its name.
            source: ``"random"`` for fresh ones; or what the new members are to imitate: ``"front"``, the
                front's members, or what a pin has just made of them; ``"uniform"``, one width everywhere;
                ``"sensitivity"``, the best mixtures by a model of what every node can bear, fitted to all
                evaluations; or a list of config ids.
                Graph networks are fitted to them by gradient.
            fraction: of its members, in (0, 1].

        Raises:
            UnknownNameError: on an unknown species, source or config id.
            ArgumentError: on a fraction outside (0, 1].

        Warns:
            NemoWarning: if the source has nothing yet: new members are random.
        """
        _refuse_absent(self._runner.ledger, species)
        snapshot = self._runner.snapshot
        if not isinstance(source, str):
            source = known_configs(source, len(snapshot.evaluations))
            if not source:
                raise ArgumentError("source=[]", "give the name of a source, or config ids in a list")
        elif source not in SOURCES:
            raise UnknownNameError("source", source, SOURCES)
        part = FRACTION.check("fraction", fraction)
        if source == "front" and not len(snapshot.front) and not snapshot.waiting:
            notice("the front is still empty, so the new members are random ones")
        if source == "sensitivity" and not len(snapshot.evaluations):
            notice("nothing is evaluated yet, so the new members are random ones")

        def decided(ledger: Ledger) -> Reseed:
            _refuse_absent(ledger, species)
            return Reseed(species, source, float(part))

        self._runner.post(decided)

    def add_species(self, species: Any) -> None:
        """Let a species take part from now on: one of nemo_lab by name, a class or object of your own, or
        one that was removed.

        Raises:
            UnknownNameError: on an unknown name.
            ArgumentError: if it takes part already.
        """  # noqa: D205
        made = self._maker.made(species)

        def decided(ledger: Ledger) -> AddSpecies:
            if ledger.takes_part(made.name):
                known = dict.fromkeys((*ledger.species, *NAMES))
                free = [name for name in known if not ledger.takes_part(name)]
                raise ArgumentError(
                    f"species {made.name!r} is in the search already",
                    f"choose from {', '.join(free)}" if free else "give one of your own",
                )
            return AddSpecies(made.name, made)

        self._runner.post(decided)

    def remove_species(self, name: str) -> None:
        """Let a species take no part any more: its slots go to the others, what it found stays.

        Raises:
            UnknownNameError: on an unknown species.
            ArgumentError: if it takes no part, or no other has children.
        """

        def decided(ledger: Ledger) -> RemoveSpecies:
            _refuse_last(ledger, name, "remove")
            return RemoveSpecies(name)

        self._runner.post(decided)

    def freeze(self, name: str, frozen: bool = True) -> None:
        """Keep a species' members as they are, with no children; ``frozen=False`` lets it go on.

        Raises:
            UnknownNameError: on an unknown species.
            ArgumentError: if it takes no part, or no other has children.
        """
        frozen = Flag().check("frozen", frozen)

        def decided(ledger: Ledger) -> Freeze:
            if frozen:
                _refuse_last(ledger, name, "freeze")
            else:
                _refuse_absent(ledger, name)
            return Freeze(name, frozen)

        self._runner.post(decided)

    def share(self, name: str, part: float | None) -> None:
        """Give a species a fixed share of all members, and so of the offspring; None leaves it to UCB again.

        Raises:
            UnknownNameError: on an unknown species.
            ArgumentError: on a share outside (0, 1), or shares of more than 1 together.
        """
        _refuse_absent(self._runner.ledger, name)
        wanted = SHARE.check("part", part)

        def decided(ledger: Ledger) -> Share:
            _refuse_absent(ledger, name)
            if wanted is not None and wanted > ledger.room(name):
                others = 1 - ledger.room(name)
                raise ArgumentError(
                    f"share {wanted!r}, and other species have {others:.3g}", "their sum must not exceed 1"
                )
            return Share(name, wanted)

        self._runner.post(decided)

    def controls(self) -> pd.DataFrame:
        """What was decided about the species: who takes part, is frozen, or has a share of its own."""
        snapshot, ledger = self._runner.snapshot, self._runner.ledger
        now, count = ledger.controls, len(ledger.species)
        rows = {
            "takes_part": [s not in now.removed for s in range(count)],
            "frozen": [s in now.frozen for s in range(count)],
            "share": [now.shares.get(s, math.nan) for s in range(count)],
            "members": [*snapshot.allocation, *[0] * count][:count],
        }
        return pd.DataFrame(rows, index=pd.Index(ledger.species, name="species"))


def _refuse_absent(ledger: Ledger, name: str) -> None:
    """Unless a species takes part."""
    if not isinstance(name, str) or name not in ledger.species:
        raise UnknownNameError("species", name, ledger.species)
    if not ledger.takes_part(name):
        raise ArgumentError(f"species {name!r} was removed", f"add_species({name!r}) lets it in again")


def _refuse_last(ledger: Ledger, name: str, verb: str) -> None:
    _refuse_absent(ledger, name)
    if ledger.is_last(name):
        raise ArgumentError(f"cannot {verb} {name!r}: no other species has children", "add one first")
