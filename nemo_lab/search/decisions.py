"""Everything people decided about a run, and how each decision is made, taken back and made again.

A ``Ledger`` is a plain value: the live engine, the history that the dashboard looks back through, a script
and a resumed run all go through these methods, so they cannot disagree. What a decision does to the members
of the search is in ``nemo_lab.search.steering``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nemo_lab.search.constraints import Constraints, Pins
from nemo_lab.search.species_controls import SpeciesControls

UNDOABLE = 100  # decisions that can be taken back


@dataclass(frozen=True)
class Step:
    """A decision that can be taken back, or made again: what is in force on the other side of it.

    Attributes:
        constraints, controls: as they were before it (or, once it was taken back, after it).
        budget: likewise, None where the decision left it alone.
        label: what people call it.
    """

    constraints: Constraints
    controls: SpeciesControls
    budget: int | None = None
    label: str = ""


@dataclass(frozen=True)
class Ledger:
    """What is in force, and the decisions that led to it.

    A method that cannot change anything gives the same ledger: what was right to ask for may come too late.

    Attributes:
        species: names of all that ever took part, in the order of their positions.
        constraints: pins, limits and aspiration.
        controls: which species take part, are frozen, or have a share of their own.
        budget: evaluations at which the run is to end.
        done: decisions that can be taken back, the latest ``UNDOABLE``, the newest last.
        undone: those that were taken back and can be made again, the next one last.
    """

    species: tuple[str, ...] = ()
    constraints: Constraints = field(default_factory=Constraints)
    controls: SpeciesControls = field(default_factory=SpeciesControls)
    budget: int = 0
    done: tuple[Step, ...] = ()
    undone: tuple[Step, ...] = ()

    def pin(self, pins: Pins) -> Ledger:
        """Fix nodes at widths, or in ranges, in place of what they were pinned to."""
        return self._decide(constraints=self.constraints.holding(pins))

    def unpin(self, nodes: Sequence[int]) -> Ledger:
        """Free nodes; the same ledger if none of them is pinned."""
        if not any(node in self.constraints.held for node in nodes):
            return self
        return self._decide(constraints=self.constraints.freeing(nodes))

    def constrain(self, limits: Mapping[int, float]) -> Ledger:
        """Put limits, objective -> largest value, in place of those before."""
        return self._decide(constraints=replace(self.constraints, limits=dict(limits)))

    def aspire(self, box: Mapping[int, tuple[float, float]]) -> Ledger:
        """Concentrate on a box, objective -> (low, high), in place of the one before."""
        return self._decide(constraints=replace(self.constraints, aspiration=dict(box)))

    def enter(self, species: str) -> Ledger:
        """Let a species take part: a new one, or one that was removed; the same ledger if it does."""
        if self.takes_part(species):
            return self
        known = self if species in self.species else self._with(species)
        position = known.species.index(species)
        return known._decide(controls=replace(known.controls, removed=known.controls.removed - {position}))

    def remove(self, species: str) -> Ledger:
        """Let a species take no part any more; the same ledger if it takes none, or no other has children."""
        if not self.takes_part(species) or self.is_last(species):
            return self
        now, s = self.controls, self.species.index(species)
        shares = _without(now.shares, s)
        return self._decide(
            controls=replace(now, removed=now.removed | {s}, frozen=now.frozen - {s}, shares=shares)
        )

    def freeze(self, species: str, frozen: bool) -> Ledger:
        """Keep the members of a species, or let it go on; the same ledger as for ``remove``."""
        if not self.takes_part(species) or (frozen and self.is_last(species)):
            return self
        now, s = self.controls, self.species.index(species)
        return self._decide(controls=replace(now, frozen=now.frozen | {s} if frozen else now.frozen - {s}))

    def share(self, species: str, part: float | None) -> Ledger:
        """Give a species a share of all members; None leaves it to UCB. The same ledger if it takes no
        part, or the shares of the others leave no room.
        """  # noqa: D205
        if not self.takes_part(species) or (part is not None and part > self.room(species)):
            return self
        now, s = self.controls, self.species.index(species)
        shares = _without(now.shares, s)
        return self._decide(controls=replace(now, shares=shares if part is None else {**shares, s: part}))

    def end_at(self, evaluations: int) -> Ledger:
        """Say at how many evaluations in all the run ends."""
        old = None if evaluations == self.budget else self.budget
        return replace(self._decide(budget=old), budget=evaluations)

    def planned(self, evaluations: int) -> Ledger:
        """The same for a run that starts, which is not a decision and cannot be undone."""
        return replace(self, budget=evaluations)

    def note(self) -> Ledger:
        """A step that changes nothing here: new members, or configurations to evaluate."""
        return self._decide()

    def reseed(self, species: str) -> Ledger:
        """The same of new members for a species; the same ledger if it takes no part."""
        return self._decide() if self.takes_part(species) else self

    def undo(self) -> Ledger:
        """Take back the latest decision that stands; the same ledger if there is none."""
        if not self.done:
            return self
        back, inverse = self._crossed(self.done[-1])
        return replace(back, done=self.done[:-1], undone=(*self.undone, inverse))

    def redo(self) -> Ledger:
        """Make the decision again that was taken back last; the same ledger if there is none."""
        if not self.undone:
            return self
        back, inverse = self._crossed(self.undone[-1])
        return replace(back, done=(*self.done, inverse)[-UNDOABLE:], undone=self.undone[:-1])

    def describe(self, label: str) -> Ledger:
        """Say what people call the latest decision."""
        return replace(self, done=(*self.done[:-1], replace(self.done[-1], label=label)))

    def takes_part(self, species: str) -> bool:
        """Whether a species of that name is in the search."""
        return species in self.species and self.species.index(species) not in self.controls.removed

    def room(self, species: str) -> float:
        """What the shares of all other species leave to one."""
        s = self.species.index(species)
        return 1.0 - sum(share for other, share in self.controls.shares.items() if other != s)

    def is_last(self, species: str) -> bool:
        """Whether no other species has children."""
        return self.controls.breeding(len(self.species)) == [self.species.index(species)]

    def state_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "species": list(self.species),
            "constraints": self.constraints.state_dict(),
            "controls": self.controls.state_dict(),
            "budget": self.budget,
            "done": [_saved(step) for step in self.done],
            "undone": [_saved(step) for step in self.undone],
        }

    @classmethod
    def from_state(cls, saved: Mapping[str, Any]) -> Ledger:
        """Back from ``state_dict``."""
        return cls(
            tuple(saved["species"]),
            Constraints.from_state(saved["constraints"]),
            SpeciesControls.from_state(saved["controls"]),
            saved["budget"],
            tuple(map(_step, saved["done"])),
            tuple(map(_step, saved["undone"])),
        )

    def _with(self, species: str) -> Ledger:
        """The same with one more species, which takes no part yet, nor did before any earlier decision."""
        new = len(self.species)

        def without(controls: SpeciesControls) -> SpeciesControls:
            return replace(controls, removed=controls.removed | {new})

        done = tuple(replace(step, controls=without(step.controls)) for step in self.done)
        known = (*self.species, species)
        return replace(self, species=known, controls=without(self.controls), done=done)

    def _decide(
        self,
        *,
        constraints: Constraints | None = None,
        controls: SpeciesControls | None = None,
        budget: int | None = None,
    ) -> Ledger:
        step = Step(self.constraints, self.controls, budget)
        return replace(
            self,
            constraints=self.constraints if constraints is None else constraints,
            controls=self.controls if controls is None else controls,
            done=(*self.done, step)[-UNDOABLE:],
            undone=(),
        )

    def _crossed(self, step: Step) -> tuple[Ledger, Step]:
        """Go to the other side of a step; returns the ledger there, and the step back."""
        changed = step.budget is not None
        inverse = Step(self.constraints, self.controls, self.budget if changed else None, step.label)
        budget = self.budget if step.budget is None else step.budget
        return replace(self, constraints=step.constraints, controls=step.controls, budget=budget), inverse


def _without(shares: Mapping[int, float], species: int) -> dict[int, float]:
    return {s: share for s, share in shares.items() if s != species}


def _saved(step: Step) -> dict[str, Any]:
    constraints, controls = step.constraints.state_dict(), step.controls.state_dict()
    return {"constraints": constraints, "controls": controls, "budget": step.budget, "label": step.label}


def _step(saved: Mapping[str, Any]) -> Step:
    constraints = Constraints.from_state(saved["constraints"])
    return Step(constraints, SpeciesControls.from_state(saved["controls"]), saved["budget"], saved["label"])
