"""The members of all species, and what a generation does with them.

The step numbers are those of docs/method.md, section 5 (Algorithm 1 of arXiv 2106.07611).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.search.allocation import share_slots, ucb_scores
from nemo_lab.search.constraints import Constraints
from nemo_lab.search.indicators import uniform_directions
from nemo_lab.search.members import Member
from nemo_lab.search.objective import only
from nemo_lab.search.options import SearchOptions
from nemo_lab.search.ranking import Nsga3Ranking
from nemo_lab.search.roster import Roster
from nemo_lab.search.selection import competing, selected
from nemo_lab.search.species import Bits, Genome, Species
from nemo_lab.search.species_controls import SpeciesControls
from nemo_lab.search.utility import keeping, penalties_of, utilities, vectors_of
from nemo_lab.search.view import SearchView


class Population:
    """Who lives in which species.

    Args:
        species: at least one.
        options: of the search.
        varying: columns of the objectives to compare by, the others are the same for all.
        seeds: one for the population, then one for each species.

    Attributes:
        members: of each species, offspring included while a generation is evaluated.
        slots: members of all species together.
        allocation: int64[S], members each species keeps.
        evaluated: int64[S], evaluations each species has had.
        owed: float[S], parts of children that each is owed by earlier generations.
        rng, streams: of the population, and of each species.
        before: is told of a species before it is called, so that it can be brought back.
    """

    def __init__(
        self,
        species: Sequence[Species],
        options: SearchOptions,
        varying: NDArray[np.intp],
        seeds: Sequence[np.random.SeedSequence],
    ) -> None:
        self.species = tuple(species)
        self.options = options
        self.rng, *self.streams = [np.random.default_rng(seed) for seed in seeds]
        self._varying = varying
        self._weights = uniform_directions(len(varying), options.r2_partitions)
        self.ranking = Nsga3Ranking(len(varying), options.population)
        count = len(self.species)
        self.slots = max(options.population, count)
        self.allocation = share_slots(np.ones(count), self.slots, options.min_size)
        self.evaluated = np.zeros(count, dtype=np.int64)
        self.owed = np.zeros(count)
        self.members: list[list[Member]] = []
        self.before: Callable[[int], None] = lambda species: None

    def begin(self) -> list[list[Member]]:
        """Make the first members; returns them by species."""
        sizes, least = self.allocation, self.options.min_initial
        if self.options.initial is not None:
            sizes = share_slots(np.ones(len(sizes)), max(self.options.initial, least * len(sizes)), least)
        self.members = [
            [Member(s, genome, "initial") for genome in self.fresh(s, int(size))]
            for s, size in enumerate(sizes)
        ]
        return self.members

    def utilities(
        self, constraints: Constraints, box: NDArray[np.float64], evaluated: NDArray[np.int64] | None = None
    ) -> tuple[list[float], NDArray[np.float64]]:
        """Steps 3 and 4: R2 of every species, and the scores of their shares.

        Args:
            constraints: in force.
            box: float[2, K], in which hypervolumes are measured.
            evaluated: int64[S], evaluations each species has had, if not all of them count.
        """
        parts = [only(self._varying, keeping(members, constraints)) for members in self.members]
        seen = only(self._varying, box)
        made = self.evaluated if evaluated is None else evaluated
        indicators, utility = utilities(parts, self._weights, seen, self.options.utility)
        return list(map(float, indicators)), ucb_scores(utility, made, self.options.ucb_c)

    def expect(self, controls: SpeciesControls) -> None:
        """Give the first slots to species that read the sensitivity, where there is one."""
        expected = np.array([float(one.reads_sensitivity) for one in self.species])
        if self.options.first_slots == "expected" and expected.any():
            self.allocation = controls.allocate(expected, self.slots, self.options.min_size, self.allocation)

    def survive(
        self, scores: NDArray[np.float64], constraints: Constraints, controls: SpeciesControls
    ) -> None:
        """Steps 4 and 5: resize, rank everyone, fill every allocation in rank order, then by chance."""
        if not self.options.resize:
            scores = np.ones(len(scores))
        self.allocation = controls.allocate(scores, self.slots, self.options.min_size, self.allocation)
        everyone = competing(self.members, controls.frozen)
        penalties = penalties_of(everyone, constraints)
        order = self.ranking.order(self.compared(everyone), self.rng, penalties) if everyone else ()
        ranked = [everyone[row] for row in order]
        survivors = selected(ranked, self.allocation, unique=self.options.dedupe)
        for s in controls.frozen:
            survivors[s] = self.members[s]
        for s in controls.breeding(len(survivors)):
            members = survivors[s]
            missing = int(self.allocation[s]) - len(members) if self.options.fill else 0
            genomes = self._children(s, [m.genome for m in members], missing)
            members.extend(Member(s, genome, "random") for genome in genomes)
        self.members = survivors

    def breed(self, view: SearchView, controls: SpeciesControls) -> list[list[Member]]:
        """Step 1: offspring of every species, with those that wait already; as many as members (paper).

        Where the option ``offspring`` asks for another number, they are shared like the members; what a share
        has beyond whole numbers is carried to the next generation.
        """
        weight = np.zeros(len(self.species))
        breeding = controls.breeding(len(weight))
        weight[breeding] = self.allocation[breeding]
        grown = min(int(self.options.offspring_growth * len(view.evaluations)), self.slots)
        total = max(self.options.offspring, grown) if self.options.offspring else int(weight.sum())
        self.owed += weight * (total / weight.sum())
        counts = share_slots(self.owed * (weight > 0), total, 0)
        self.owed -= counts
        waiting: list[list[Member]] = []
        for s, members in enumerate(self.members):
            self.turn_to(s).observe(view)
            for member in members:
                member.parent = member.objectives is not None
            unborn = [member for member in members if not member.parent]
            children = self._children(s, self._parents(s), int(counts[s]))
            new = [Member(s, genome, "offspring") for genome in children]
            waiting.append([*unborn, *new])
            members.extend(new)
        return waiting

    def another(self, species: int) -> Genome:
        """One more child of this generation's parents, in place of one that repeats what is known."""
        return self._children(species, self._parents(species), 1)[0]

    def learn(self, species: int, bits: NDArray[np.uint8]) -> Genome:
        """A genome of a species that imitates uint8[Q]."""
        return self.turn_to(species).imitate(bits[None], self.streams[species])[0]

    def fresh(self, species: int, count: int) -> list[Genome]:
        """Genomes of a species that are nobody's children."""
        return self.turn_to(species).initial(count, self.streams[species])

    def turn_to(self, species: int) -> Species:
        """A species that is about to be called, by position; also before its random numbers are drawn."""
        self.before(species)
        return self.species[species]

    def enter(self, species: int, controls: SpeciesControls) -> list[Member]:
        """Make the first members of a species that comes in the middle of a run."""
        active = len(self.species) - len(controls.removed)
        first = self.slots if self.options.initial is None else self.options.initial
        count = max(1, first // active)
        self.members[species] = [Member(species, one, "initial") for one in self.fresh(species, count)]
        self.allocation[species] = max(count, self.options.min_size)
        return self.members[species]

    def take_in(self, bits: Bits, controls: SpeciesControls) -> list[Member]:
        """Give configurations bits[N, Q] to the species with children, in turn, as members that imitate them.

        Every species gets one, all of them together at most as many as the population has members: of more
        those that lie evenly among them. They are beside the others until the next generation is chosen.
        """
        takers = controls.breeding(len(self.species))
        count = min(max(len(bits), len(takers)), self.slots)
        turns = [(takers[i % len(takers)], bits[i * len(bits) // count]) for i in range(count)]
        new = [Member(s, None, "reseed", imitates=row.copy()) for s, row in turns]
        for member in new:
            self.members[member.species].append(member)
        return new

    def append(self, species: Species, seed: np.random.SeedSequence) -> None:
        """Make room for one more species, which has no members yet."""
        self.species = (*self.species, species)
        self.streams.append(np.random.default_rng(seed))
        self.members.append([])
        self.allocation = np.append(self.allocation, 0)
        self.evaluated = np.append(self.evaluated, 0)
        self.owed = np.append(self.owed, 0.0)

    def compared(self, members: Sequence[Member]) -> NDArray[np.float64]:
        """Objective vectors of evaluated members, as far as they can differ."""
        return only(self._varying, vectors_of(members))

    def leave(self, gone: Set[Member]) -> None:
        """Let members go."""
        self.members = [[member for member in living if member not in gone] for living in self.members]

    def state_dict(self, roster: Roster) -> dict[str, Any]:
        """Everything that is not in the evaluations; members by their number in a roster.

        Raises:
            OpaqueError: if a species remembers something that it cannot write down.
        """
        return {
            "own": [one.state_dict() for one in self.species],
            "random": [rng.bit_generator.state for rng in (self.rng, *self.streams)],
            "allocation": self.allocation,
            "evaluated": self.evaluated,
            "owed": self.owed,
            "ranking": self.ranking.memory,
            "living": [roster.numbers(living) for living in self.members],
        }

    def load_state_dict(self, saved: Mapping[str, Any], roster: Roster, view: SearchView | None) -> None:
        """Back from ``state_dict``; ``view`` is what species saw last."""
        for rng, state in zip((self.rng, *self.streams), saved["random"], strict=True):
            rng.bit_generator.state = state
        self.allocation = np.array(saved["allocation"])
        self.evaluated = np.array(saved["evaluated"])
        self.owed = np.array(saved["owed"])
        self.ranking.memory = saved["ranking"]
        self.members = [roster.named(living) for living in saved["living"]]
        for one, own in zip(self.species, saved["own"], strict=True):
            if view is not None:
                one.observe(view)
            one.load_state_dict(own)

    def _parents(self, s: int) -> list[Genome]:
        return [member.genome for member in self.members[s] if member.parent]

    def _children(self, s: int, parents: list[Genome], count: int) -> list[Genome]:
        if count <= 0:
            return []
        if not parents:
            return self.fresh(s, count)
        return self.turn_to(s).offspring(parents, count, self.streams[s])
