"""What people's decisions do to a search: members that come and go, and what is evaluated next.

Which decisions stand is in the ledger (``nemo_lab.search.decisions``); here each takes effect.
Single-threaded: call these between a ``tell`` and the next ``ask``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from nemo_lab.search.constraints import Pins, checked_pins
from nemo_lab.search.decisions import Ledger
from nemo_lab.search.members import NO_SPECIES, Member
from nemo_lab.search.moment import as_a_whole
from nemo_lab.search.reseeding import configurations, reseed
from nemo_lab.search.species import Bits, Species
from nemo_lab.search.state import SearchState
from nemo_lab.search.turnover import Turnover, turnover


class Steering:
    """Interventions in a search; each acts on what is asked for next, or leaves all as it was if it fails."""

    def __init__(self, state: SearchState) -> None:
        self._state = state

    @property
    def ledger(self) -> Ledger:
        """What is in force, and what can be taken back or made again."""
        return self._state.ledger

    @as_a_whole
    def pin(self, pins: Pins) -> int:
        """Fix nodes at widths; the front's members are projected onto the pins and come first.

        Args:
            pins: node -> width, or (lowest, highest); in place of what the node was pinned to.

        Returns:
            how many projected configurations wait now.

        Raises:
            BitWidthError, ArgumentError: see ``checked_pins``.
        """
        state = self._state
        after = self.ledger.pin(checked_pins(pins, state.problem))
        with self._taking_effect(after):
            log = state.archive.evaluations
            projected: dict[bytes, Member] = {}
            for config in state.archive.front:  # as it was before the pin
                bits = after.constraints.apply(log.bits[config].copy(), state.problem)
                if state.archive.find(bits) is None:
                    member = Member(int(log.species[config]), None, "projected", bits)
                    projected.setdefault(bits.tobytes(), member)
            state.queue.put_first(list(projected.values()))
        return len(projected)

    @as_a_whole
    def unpin(self, nodes: Sequence[int]) -> None:
        """Free nodes; earlier evaluations that were hidden by their pins count again."""
        with self._taking_effect(self.ledger.unpin(nodes)):
            pass

    @as_a_whole
    def constrain(self, limits: Mapping[int, float]) -> None:
        """Put limits, objective -> largest value allowed, in place of all before."""
        with self._taking_effect(self.ledger.constrain(limits)):
            pass

    @as_a_whole
    def aspire(self, aspiration: Mapping[int, tuple[float, float]]) -> None:
        """Concentrate on a box, objective -> (low, high), in place of the one before; empty for none."""
        with self._taking_effect(self.ledger.aspire(aspiration)):
            pass

    @as_a_whole
    def set_budget(self, evaluations: int) -> None:
        """Say at how many evaluations in all the run is to end; the search itself only remembers it."""
        with self._taking_effect(self.ledger.end_at(evaluations)):
            pass

    def plan(self, evaluations: int) -> None:
        """The same when a run starts, which is not an intervention and cannot be undone."""
        self._state.ledger = self.ledger.planned(evaluations)

    @as_a_whole
    def enqueue(self, bits: Bits, join: bool = False) -> None:
        """Evaluate configurations bits[N, Q] next; pins in force are applied to them.

        Args:
            bits: uint8[N, Q].
            join: whether they become members of the species, too; see ``Population.take_in``.
        """
        if join:
            self._state.begin()
        with self._taking_effect(self.ledger.note()):
            new = [Member(NO_SPECIES, None, "enqueued", row.copy()) for row in bits]
            if join and len(bits):
                new += self._state.population.take_in(bits, self.ledger.controls)
            self._state.queue.put_first(new)

    # species

    @as_a_whole
    def reseed(self, species: int, source: str | Bits, fraction: float) -> int:
        """Replace the worst ``fraction`` of a species by new members, evaluated next.

        What is not evaluated yet goes first, then the worst by rank under the constraints.

        Args:
            species: its position.
            source: configurations uint8[N, Q] to imitate, or the name of a source, see
                ``nemo_lab.search.reseeding``; what it cannot give is random.
            fraction: in (0, 1]; 1 also drops the species' offspring that still wait.

        Returns:
            how many members are new.
        """
        state = self._state
        state.begin()
        wanted: Bits | None
        if isinstance(source, str):
            state.population.turn_to(species)
            rng = state.population.streams[species]
            wanted = configurations(source, state.problem, state.options, state.look(), rng)
            if source == "front" and wanted is None:
                wanted = state.queue.projected()
        else:
            wanted = source
        with self._taking_effect(self.ledger.note()):
            constraints = self.ledger.constraints
            new, gone = reseed(state.population, species, fraction, wanted, constraints)
            if fraction >= 1.0:
                gone |= {m for m in state.queue if m.species == species and not m.hand_made}
            state.queue.drop(gone)
            state.queue.put_first(new)
        return len(new)

    @as_a_whole
    def add_species(self, species: Species) -> None:
        """Let a species take part from now on: a new one, or one that was removed, with new members."""
        state = self._state
        state.begin()
        after = self.ledger.enter(species.name)
        position = after.species.index(species.name)
        with self._taking_effect(after):
            if position == len(state.population.species):
                state.population.append(species, state.seed_of(position))
                if state.view is not None:
                    state.population.turn_to(position).observe(state.view)
            state.queue.put_first(state.population.enter(position, after.controls))

    @as_a_whole
    def remove_species(self, name: str) -> None:
        """Let a species go with its members; what it found stays."""
        self._control(self.ledger.remove(name))

    @as_a_whole
    def freeze(self, name: str, frozen: bool) -> None:
        """Keep a species' members as they are, or let it go on."""
        self._control(self.ledger.freeze(name, frozen))

    @as_a_whole
    def share(self, name: str, part: float | None) -> None:
        """Give a species a share of all members, None for UCB's."""
        self._control(self.ledger.share(name, part))

    # taking back

    @as_a_whole
    def undo(self) -> str:
        """Take back the latest decision that stands, and its members where they still are.

        What it had evaluated stays, and so do the children of its members.

        Returns:
            its label, and whether members that it replaced are not kept any more; empty if there is none.
        """
        state = self._state
        if not self.ledger.done:
            return ""
        label, change = self.ledger.done[-1].label, state.done[-1]
        inverse = self._revert(self.ledger.undo(), change)
        state.remember(state.done[:-1], (*state.undone, inverse))
        return f"{label}; {change.lost} members lie too far back to return" if change.lost else label

    @as_a_whole
    def redo(self) -> str:
        """Make the decision again that was taken back last; returns its label, empty if there is none."""
        state = self._state
        if not self.ledger.undone:
            return ""
        label = self.ledger.undone[-1].label
        inverse = self._revert(self.ledger.redo(), state.undone[-1])
        state.remember((*state.done, inverse), state.undone[:-1])
        return label

    def describe(self, label: str) -> None:
        """Say what people call the latest decision."""
        self._state.ledger = self.ledger.describe(label)

    def _control(self, after: Ledger) -> None:
        self._state.begin()
        with self._taking_effect(after):
            self._expel()

    @contextmanager
    def _taking_effect(self, after: Ledger) -> Iterator[None]:
        """Put a decision in force, and note who comes and goes by it."""
        state = self._state
        present = list(state.present())
        state.ledger = after
        yield
        state.remember((*state.done, turnover(present, state.present())), ())
        self._in_force()

    def _revert(self, after: Ledger, change: Turnover) -> Turnover:
        """Go to the other side of a decision; returns who came and went by that."""
        state, present = self._state, list(self._state.present())
        state.ledger = after
        self._leave(set(change.entered))
        for member in change.left:
            if not member.hand_made:
                state.population.members[member.species].append(member)
        waiting = [member for member in change.left if member.objectives is None]
        state.queue.put_first(sorted(waiting, key=lambda member: not member.hand_made))
        self._expel()
        self._in_force()
        return turnover(present, state.present())

    def _expel(self) -> None:
        """Let the members of removed species go, and make room for those of others."""
        state, population = self._state, self._state.population
        for species, members in enumerate(population.members):
            if species in self.ledger.controls.removed:
                self._leave(set(members))
                population.allocation[species] = 0
            elif population.allocation[species] == 0:
                population.allocation[species] = max(len(members), state.options.min_size)

    def _leave(self, members: set[Member]) -> None:
        self._state.queue.drop(members)
        self._state.population.leave(members)

    def _in_force(self) -> None:
        self._state.exhausted = False
        self._state.archive.rebuild(self.ledger.constraints)
