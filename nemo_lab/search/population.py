"""The members of all species, and what a generation does with them.

The step numbers are those of METHOD section 5 (Algorithm 1 of arXiv 2106.07611).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nemo_lab.search.allocation import share_slots, ucb_scores, utility_from_r2
from nemo_lab.search.constraints import Rules
from nemo_lab.search.indicators import hypervolume, r2, uniform_directions
from nemo_lab.search.members import Member
from nemo_lab.search.options import SearchOptions
from nemo_lab.search.ranking import Nsga3Ranking
from nemo_lab.search.species import Genome, Species
from nemo_lab.search.species_controls import Controls
from nemo_lab.search.view import SearchView


class Population:
    """Who lives in which species.

    Args:
        species: at least one.
        options: of the search.
        objectives: K.
        seeds: one for the population, then one for each species.

    Attributes:
        members: of each species, offspring included while a generation is evaluated.
        slots: members of all species together.
        allocation: int64[S], members each species keeps.
        evaluated: int64[S], evaluations each species has had.
        owed: float[S], parts of children that each is owed by earlier generations.
        rng, streams: of the population, and of each species.
    """

    def __init__(
        self,
        species: Sequence[Species],
        options: SearchOptions,
        objectives: int,
        seeds: Sequence[np.random.SeedSequence],
    ) -> None:
        self.species = tuple(species)
        self.options = options
        self.rng, *self.streams = [np.random.default_rng(seed) for seed in seeds]
        self._weights = uniform_directions(objectives, options.r2_partitions)
        self.ranking = Nsga3Ranking(objectives, options.population)
        count = len(self.species)
        self.slots = max(options.population, count)
        self.allocation = share_slots(np.ones(count), self.slots, options.min_size)
        self.evaluated = np.zeros(count, dtype=np.int64)
        self.owed = np.zeros(count)
        self.members: list[list[Member]] = []

    def begin(self) -> list[list[Member]]:
        """Make the first members; returns them by species."""
        sizes = self.allocation
        if self.options.initial is not None:
            sizes = share_slots(np.ones(len(sizes)), max(self.options.initial, 2 * len(sizes)), 2)
        self.members = [
            [Member(s, genome, "initial") for genome in one.initial(int(size), self.streams[s])]
            for s, (one, size) in enumerate(zip(self.species, sizes, strict=True))
        ]
        return self.members

    def utilities(self, rules: Rules, box: NDArray[np.float64]) -> tuple[list[float], NDArray[np.float64]]:
        """Steps 3 and 4: R2 of every species, and the scores of their shares.

        Args:
            rules: in force.
            box: float[2, K], in which hypervolumes are measured.
        """
        parts = [_as_wished(members, rules) for members in self.members]
        able = [s for s, vectors in enumerate(parts) if len(vectors)]
        indicators = np.full(len(parts), np.nan)
        indicators[able] = [r2(parts[s], self._weights) for s in able]
        utility = np.zeros(len(parts))
        if not able:
            pass
        elif self.options.utility == "r2":
            utility[able] = utility_from_r2(indicators[able])
        else:
            utility[able] = _contributions([parts[s] for s in able], box)
        return list(map(float, indicators)), ucb_scores(utility, self.evaluated, self.options.ucb_c)

    def survive(self, scores: NDArray[np.float64], rules: Rules, controls: Controls) -> None:
        """Steps 4 and 5: resize, rank everyone, fill every allocation in rank order, then by chance."""
        least = self.options.min_size
        if not self.options.resize:
            scores = np.ones(len(scores))
        self.allocation = controls.allocate(scores, self.slots, least, self.allocation)
        survivors: list[list[Member]] = [
            members if s in controls.frozen else [] for s, members in enumerate(self.members)
        ]
        everyone = [
            member
            for s, members in enumerate(self.members)
            for member in members
            if member.objectives is not None and s not in controls.frozen
        ]
        alive: set[tuple[int, bytes]] = set()
        for row in self.ranking.order(_vectors(everyone), self.rng, _penalties(everyone, rules)):
            member = everyone[row]
            held = survivors[member.species]
            if len(held) >= self.allocation[member.species]:
                continue
            if self.options.dedupe:
                if member.key in alive:
                    continue
                alive.add(member.key)
            held.append(member)
        for s in controls.breeding(len(survivors)):
            members = survivors[s]
            missing = int(self.allocation[s]) - len(members)
            genomes = self._children(s, [m.genome for m in members], missing)
            members.extend(Member(s, genome, "random") for genome in genomes)
        self.members = survivors

    def breed(self, view: SearchView, controls: Controls) -> list[list[Member]]:
        """Step 1: offspring of every species, with those that wait already; as many as members (paper).

        Where the option ``offspring`` asks for fewer, they are shared like the members; what a share has
        beyond whole numbers is carried to the next generation.
        """
        weight = np.zeros(len(self.species))
        breeding = controls.breeding(len(weight))
        weight[breeding] = self.allocation[breeding]
        total = self.options.offspring or int(weight.sum())
        self.owed += weight * (total / weight.sum())
        counts = share_slots(self.owed * (weight > 0), total, 0)
        self.owed -= counts
        waiting: list[list[Member]] = []
        for s, (one, members) in enumerate(zip(self.species, self.members, strict=True)):
            one.observe(view)
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
        return self.species[species].imitate(bits[None], self.streams[species])[0]

    def reseed(
        self, species: int, fraction: float, sources: NDArray[np.uint8] | None, rules: Rules
    ) -> tuple[list[Member], set[Member]]:
        """Replace the worst ``fraction`` of a species: what nobody has evaluated first, then by rank.

        Args:
            species: its position.
            fraction: in (0, 1].
            sources: uint8[N, Q] to imitate; None for random members.
            rules: to rank by.

        Returns:
            the new members and the gone ones.
        """
        rng, members = self.streams[species], self.members[species]
        count = int(np.ceil(fraction * len(members)))
        if sources is not None and len(sources):
            rounds = max(1, -(-count // len(sources)))
            rows = np.concatenate([rng.permutation(len(sources)) for _ in range(rounds)])[:count]
            new = [Member(species, None, "reseed", imitates=sources[row]) for row in rows]
        else:
            genomes = self.species[species].initial(count, rng)
            new = [Member(species, genome, "reseed") for genome in genomes]
        kept = self._best_first(members, rules, rng)[: len(members) - count]
        gone = set(members) - set(kept)
        for member in kept:
            member.parent = member.objectives is not None
        self.members[species] = [*kept, *new]
        return new, gone

    def enter(self, species: int, controls: Controls) -> list[Member]:
        """Make the first members of a species that comes in the middle of a run."""
        active = len(self.species) - len(controls.removed)
        count = max(1, (self.options.initial or self.slots) // active)
        genomes = self.species[species].initial(count, self.streams[species])
        self.members[species] = [Member(species, genome, "initial") for genome in genomes]
        self.allocation[species] = max(count, self.options.min_size)
        return self.members[species]

    def append(self, species: Species, seed: np.random.SeedSequence) -> None:
        """Make room for one more species, which has no members yet."""
        self.species = (*self.species, species)
        self.streams.append(np.random.default_rng(seed))
        self.members.append([])
        self.allocation = np.append(self.allocation, 0)
        self.evaluated = np.append(self.evaluated, 0)
        self.owed = np.append(self.owed, 0.0)

    def _parents(self, s: int) -> list[Genome]:
        return [member.genome for member in self.members[s] if member.parent]

    def _best_first(self, members: Sequence[Member], rules: Rules, rng: np.random.Generator) -> list[Member]:
        done = [member for member in members if member.objectives is not None]
        waiting = [member for member in members if member.objectives is None]
        if done:
            ranking = Nsga3Ranking(self._weights.shape[1], self.options.population)
            done = [done[row] for row in ranking.order(_vectors(done), rng, _penalties(done, rules))]
        return [*done, *waiting]

    def _children(self, s: int, parents: list[Genome], count: int) -> list[Genome]:
        if count <= 0:
            return []
        one, rng = self.species[s], self.streams[s]
        return one.offspring(parents, count, rng) if parents else one.initial(count, rng)


def _as_wished(members: Sequence[Member], rules: Rules) -> NDArray[np.float64]:
    """Objective vectors of the members as the rules want them, or of all where none is."""
    done = [member for member in members if member.objectives is not None]
    good = _penalties(done, rules) == 0
    vectors = _vectors(done)
    return vectors[good] if good.any() else vectors


def _contributions(parts: Sequence[NDArray[np.float64]], box: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the hypervolume would lose without each species, as a share of the largest loss.

    Args:
        parts: objective vectors float[N, K] of each species.
        box: float[2, K].
    """
    whole = hypervolume(np.concatenate(parts), box)
    loss = np.array(
        [
            whole - (hypervolume(np.concatenate(rest), box) if rest else 0.0)
            for rest in ([p for other, p in enumerate(parts) if other != s] for s in range(len(parts)))
        ]
    )
    return loss / loss.max() if loss.max() > 0 else np.ones(len(parts))


def _vectors(members: Sequence[Member]) -> NDArray[np.float64]:
    return np.array([member.objectives for member in members])


def _penalties(members: Sequence[Member], rules: Rules) -> NDArray[np.float64]:
    if not members:
        return np.zeros(0)
    return rules.penalty(np.array([member.bits for member in members]), _vectors(members))
