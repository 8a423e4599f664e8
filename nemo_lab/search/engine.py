"""The engine of a study: the search, and everything that a person may change while it goes on.

Single-threaded; whoever drives it does so between a ``tell`` and the next ``ask``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain

import numpy as np

from nemo_lab.search.asktell import AskTell
from nemo_lab.search.changes import Change, difference
from nemo_lab.search.constraints import Pins, Rules, checked_width
from nemo_lab.search.members import NO_SPECIES, Member
from nemo_lab.search.reseed_sources import configurations
from nemo_lab.search.species import Bits, Species
from nemo_lab.search.species_controls import Controls


class Engine(AskTell):
    """A search that can be steered; arguments as for ``AskTell``.

    Every steer acts on what is asked for next, and can be taken back by ``undo``, the latest first.

    Attributes:
        budget: evaluations at which the run is to end.
        undoable, undone: the steers that can be taken back, and those that were and can be made again.
    """

    budget = 0
    undoable: tuple[Change, ...] = ()
    undone: tuple[Change, ...] = ()

    # wishes

    def pin(self, pins: Pins) -> int:
        """Fix nodes at widths; the front's members are projected onto the pins and come first.

        Args:
            pins: node -> width, or (lowest, highest); in place of what the node was pinned to.

        Returns:
            how many projected configurations wait now.

        Raises:
            BitWidthError, ArgumentError: see ``checked_width``.
        """
        widths = tuple(self.problem.bit_widths)
        wanted = {node: checked_width(width, widths) for node, width in pins.items()}
        with self._steer():
            old_front = self.front
            self.rules = self.rules.holding(wanted)
            log = self.evaluations
            projected: dict[bytes, Member] = {}
            for config in old_front:
                bits = self.rules.apply(log.bits[config].copy())
                if self._log.find(bits) is None:
                    twin = Member(int(log.species[config]), None, "projected", bits)
                    projected.setdefault(bits.tobytes(), twin)
            self._pending.extendleft(reversed(projected.values()))
        return len(projected)

    def unpin(self, nodes: Sequence[int]) -> None:
        """Free nodes; earlier evaluations that were hidden by their pins count again."""
        with self._steer():
            self.rules = self.rules.freeing(nodes)

    def constrain(self, limits: Mapping[int, float]) -> None:
        """Put limits, objective -> largest value allowed, in place of all before."""
        with self._steer():
            self.rules = replace(self.rules, limits=dict(limits))

    def aspire(self, aspiration: Mapping[int, tuple[float, float]]) -> None:
        """Concentrate on a box, objective -> (low, high), in place of the one before; empty for none."""
        with self._steer():
            self.rules = replace(self.rules, aspiration=dict(aspiration))

    def enqueue(self, bits: Bits) -> None:
        """Evaluate configurations bits[N, Q] next; pins in force are applied to them."""
        with self._steer():
            new = [Member(NO_SPECIES, None, "enqueued", row.copy()) for row in bits[::-1]]
            self._pending.extendleft(new)

    # species

    def reseed(self, species: int, source: str | Bits, fraction: float) -> int:
        """Replace the worst ``fraction`` of a species by new members, evaluated next.

        What is not evaluated yet goes first, then the worst by rank under the rules.

        Args:
            species: its position.
            source: configurations uint8[N, Q] to imitate, or the name of a source, see
                ``nemo_lab.search.reseed_sources``; what it cannot give is random.
            fraction: in (0, 1]; 1 also drops the species' offspring that still wait.

        Returns:
            how many members are new.
        """
        self.begin()
        wanted: Bits | None
        if isinstance(source, str):
            rng = self.population.streams[species]
            wanted = configurations(source, self.problem, self.options, self._look(), rng)
        else:
            wanted = source
        with self._steer():
            new, gone = self.population.reseed(species, fraction, wanted, self.rules)
            if fraction >= 1.0:
                gone |= {m for m in self._pending if m.species == species and not m.hand_made}
            self._pending = deque(member for member in self._pending if member not in gone)
            self._pending.extendleft(reversed(new))
        return len(new)

    def add_species(self, species: Species) -> None:
        """Let a species take part from now on: a new one, or one that was removed, with new members."""
        self.begin()
        names = [one.name for one in self.species]
        if species.name not in names:
            names.append(species.name)
            self.population.append(species, self._seed_of(len(names) - 1))
            if self._view is not None:
                species.observe(self._view)
            self.controls = replace(self.controls, removed=self.controls.removed | {len(names) - 1})
        position = names.index(species.name)
        with self._steer():
            self.controls = replace(self.controls, removed=self.controls.removed - {position})
            self._pending.extendleft(reversed(self.population.enter(position, self.controls)))

    def control(self, controls: Controls) -> None:
        """Decide anew which species take part, are frozen, or have a share of their own.

        One that is removed leaves with its members; what it found stays. To let one in see ``add_species``.
        """
        self.begin()
        with self._steer():
            self.controls = controls
            self._expel()

    def set_budget(self, evaluations: int) -> None:
        """Say at how many evaluations in all the run is to end; the engine itself only remembers it."""
        with self._steer():
            self.budget = evaluations

    # taking back

    def undo(self) -> str:
        """Take back the latest steer that stands: rules and decisions, and its members where they still are.

        What it had evaluated stays, and so do the children of its members.

        Returns:
            its label.
        """
        change = self.undoable[-1]
        inverse = self._revert(change)
        self.undoable, self.undone = self.undoable[:-1], (*self.undone, inverse)
        return change.label

    def redo(self) -> str:
        """Make the steer again that was taken back last; returns its label."""
        change = self.undone[-1]
        inverse = self._revert(change)
        self.undone, self.undoable = self.undone[:-1], (*self.undoable, inverse)
        return change.label

    def describe(self, label: str) -> None:
        """Say what people call the latest steer."""
        self.undoable = (*self.undoable[:-1], replace(self.undoable[-1], label=label))

    @contextmanager
    def _steer(self) -> Iterator[None]:
        """Note what the steer inside changes, and put it in force."""
        before = self._now()
        yield
        self.undoable, self.undone = (*self.undoable, self._since(before)), ()
        self._rules_changed()

    def _revert(self, change: Change) -> Change:
        """Go back to before a change; returns the change that this was."""
        before = self._now()
        self.rules, self.controls = change.rules, change.controls
        if change.budget is not None:
            self.budget = change.budget
        self._leave(set(change.entered))
        for member in change.left:
            if not member.hand_made:
                self.population.members[member.species].append(member)
        self._pending.extendleft(reversed([m for m in change.left if m.objectives is None]))
        self._expel()
        self._rules_changed()
        return replace(self._since(before), label=change.label)

    def _now(self) -> tuple[Rules, Controls, int, list[Member]]:
        return self.rules, self.controls, self.budget, list(self._present())

    def _since(self, before: tuple[Rules, Controls, int, list[Member]]) -> Change:
        rules, controls, budget, present = before
        entered, left = difference(present, self._present())
        return Change(rules, controls, entered, left, None if budget == self.budget else budget)

    def _expel(self) -> None:
        """Let the members of removed species go, and make room for those of others."""
        population = self.population
        for species, members in enumerate(population.members):
            if species in self.controls.removed:
                self._leave(set(members))
                population.allocation[species] = 0
            elif population.allocation[species] == 0:
                population.allocation[species] = max(len(members), self.options.min_size)

    def _leave(self, members: set[Member]) -> None:
        self._pending = deque(member for member in self._pending if member not in members)
        self.population.members = [
            [member for member in living if member not in members] for living in self.population.members
        ]

    def _present(self) -> Iterator[Member]:
        """Everyone who lives or waits."""
        return chain(chain.from_iterable(self.population.members), self._pending)

    def _rules_changed(self) -> None:
        self.exhausted = False
        self._front.rebuild(self.evaluations, self.rules)

    def _seed_of(self, species: int) -> np.random.SeedSequence:
        return np.random.SeedSequence(self.seed, spawn_key=(1 + species,))
