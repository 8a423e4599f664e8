"""NEMO's search by ask and tell: single-threaded, deterministic, no clock and no screen.

One generation of Algorithm 1 in arXiv 2106.07611; the step numbers are those of METHOD section 5.
Evaluation can be anywhere: ``ask`` gives candidates one by one, ``tell`` takes their objectives in
any order, and a new generation begins when all of one are told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.search.allocation import share_slots, ucb_scores, utility_from_r2
from nemo_lab.search.archive import ORIGINS, EvaluationLog, Evaluations, ParetoFront, satisfies
from nemo_lab.search.indicators import hypervolume, r2, uniform_directions
from nemo_lab.search.options import SearchOptions
from nemo_lab.search.population import Candidate, GenerationRecord, Member, SpeciesRecord
from nemo_lab.search.problem import Problem, bounds_of
from nemo_lab.search.ranking import Nsga3Ranking
from nemo_lab.search.species import Bits, Species

HAND_MADE = -1


class Engine:
    """The state of one search.

    Args:
        problem: what to search; only its description is used, never ``evaluate``.
        species: the competing species, at least one.
        options: every constant.
        seed: the same seed, answers and steers give the same candidates, bit for bit.
    """

    def __init__(
        self, problem: Problem, species: Sequence[Species], options: SearchOptions, seed: int
    ) -> None:
        self.problem = problem
        self.species = tuple(species)
        self.options = options
        self.bounds = bounds_of(problem)
        objectives = len(problem.objective_names)
        own, *streams = np.random.SeedSequence(seed).spawn(1 + len(self.species))
        self._rng = np.random.default_rng(own)
        self._streams = [np.random.default_rng(stream) for stream in streams]
        self._weights = uniform_directions(objectives, options.r2_partitions)
        self._ranking = Nsga3Ranking(objectives, options.population)
        self._log = EvaluationLog(problem.num_nodes, objectives)
        self._front = ParetoFront()
        self._measured = (self._front.ids, 0.0)
        self._pending: deque[Member] = deque()
        self._in_flight: set[Member] = set()
        self.pins: dict[int, int] = {}
        self.generation = 0
        self.history: tuple[GenerationRecord, ...] = ()
        self._evaluated = np.zeros(len(self.species), dtype=np.int64)
        count = len(self.species)
        self.allocation = share_slots(np.ones(count), max(options.population, count), options.min_size)
        self._members: list[list[Member]] = []

    def begin(self) -> None:
        """Make the first population; ``ask`` and ``reseed`` do it where nobody has."""
        if self._members:
            return
        self._members = [
            [Member(s, genome, "initial") for genome in one.initial(int(size), self._streams[s])]
            for s, (one, size) in enumerate(zip(self.species, self.allocation, strict=True))
        ]
        self._enqueue_members(self._members)

    # ask and tell

    def ask(self) -> Candidate | None:
        """The next configuration to evaluate, or None while told ones are missing for the next.

        Pins in force are applied here, so a pin acts on everything evaluated after it.
        """
        self.begin()
        if not self._pending:
            if self._in_flight:
                return None
            self._next_generation()
        member = self._pending[0]
        member.bits = bits = self._pinned(self._decoded(member))
        self._pending.popleft()
        self._in_flight.add(member)
        return Candidate(bits, member)

    def _decoded(self, member: Member) -> Bits:
        if member.hand_made:
            return np.array(member.bits, dtype=np.uint8)
        one = self.species[member.species]
        if member.imitates is not None:
            member.genome = one.imitate(member.imitates[None], self._streams[member.species])[0]
            member.imitates = None
        return np.array(one.decode(member.genome), dtype=np.uint8)

    def tell(self, candidate: Candidate, objectives: NDArray[np.float64]) -> int:
        """Take the objectives float[K] of a candidate; returns its config id."""
        member = candidate.member
        self._in_flight.remove(member)
        member.objectives = np.array(objectives, dtype=np.float64)
        config = self._log.append(
            bits=candidate.bits,
            objectives=member.objectives,
            species=member.species,
            origin=ORIGINS.index(member.origin),
            generation=self.generation,
        )
        if not member.hand_made:
            self._evaluated[member.species] += 1
        if bool(satisfies(candidate.bits[None], self.pins)[0]):
            self._front.add(config, self.evaluations)
        return config

    def give_back(self, candidate: Candidate) -> None:
        """Return a candidate that could not be evaluated: it is the next one asked for."""
        self._in_flight.remove(candidate.member)
        self._pending.appendleft(candidate.member)

    @property
    def evaluations(self) -> Evaluations:
        """All evaluations so far, read-only; a row's number is its config id."""
        return self._log.view()

    @property
    def front(self) -> NDArray[np.intp]:
        """Config ids of the non-dominated evaluations that satisfy the pins; ours (step 6)."""
        return self._front.ids

    @property
    def waiting(self) -> int:
        """Hand-made and projected configurations that wait to be evaluated."""
        return sum(member.hand_made for member in self._pending)

    def hypervolume(self) -> float:
        """Normalised hypervolume of the front under the pins."""
        if self._measured[0] is not self.front:
            vectors = self.evaluations.objectives[self.front]
            self._measured = (self.front, hypervolume(vectors, self.bounds))
        return self._measured[1]

    # steering

    def pin(self, pins: Mapping[int, int]) -> int:
        """Fix nodes at widths; the front's members are projected onto the pins and come first.

        Returns:
            how many projected configurations wait now.
        """
        old_front = self.front
        self.pins = {**self.pins, **pins}
        log = self.evaluations
        known = {row.tobytes() for row in log.bits}
        projected = []
        for config in old_front:
            bits = self._pinned(log.bits[config].copy())
            if bits.tobytes() not in known:
                known.add(bits.tobytes())
                projected.append(Member(int(log.species[config]), None, "projected", bits))
        self._pending.extendleft(reversed(projected))
        self._front.rebuild(log, self.pins)
        return len(projected)

    def unpin(self, nodes: Sequence[int]) -> None:
        """Free nodes; earlier evaluations that were hidden by their pins count again."""
        self.pins = {node: width for node, width in self.pins.items() if node not in nodes}
        self._front.rebuild(self.evaluations, self.pins)

    def enqueue(self, bits: Bits) -> None:
        """Evaluate configurations bits[N, Q] next; pins in force are applied to them."""
        members = [Member(HAND_MADE, None, "enqueued", row.copy()) for row in bits]
        self._pending.extendleft(reversed(members))

    def reseed(self, species: int, source: str, fraction: float) -> int:
        """Replace the worst ``fraction`` of a species by new members, evaluated next.

        What is not evaluated yet goes first, then the worst by rank under the pins.

        Args:
            species: its position.
            source: ``"random"``, or ``"front"`` for imitations of front members, random ones while
                there are none.
            fraction: in (0, 1]; 1 also drops the species' offspring that still wait.

        Returns:
            how many members are new.
        """
        self.begin()
        rng, one, members = self._streams[species], self.species[species], self._members[species]
        count = int(np.ceil(fraction * len(members)))
        front = self.front
        if source == "front" and len(front):
            picked = [rng.permutation(front) for _ in range(-(-count // len(front)))]
            rows = np.concatenate(picked)[:count]
            sources = self.evaluations.bits[rows]
            new = [Member(species, None, "reseed", imitates=bits) for bits in sources]
        else:
            new = [Member(species, genome, "reseed") for genome in one.initial(count, rng)]
        kept = self._best_first(members, rng)[: len(members) - count]
        gone = set(members) - set(kept)
        self._members[species] = [*kept, *new]
        if fraction >= 1.0:
            gone |= {m for m in self._pending if m.species == species and not m.hand_made}
        self._pending = deque(member for member in self._pending if member not in gone)
        self._pending.extendleft(reversed(new))
        return count

    def _best_first(self, members: Sequence[Member], rng: np.random.Generator) -> list[Member]:
        done = [member for member in members if member.objectives is not None]
        waiting = [member for member in members if member.objectives is None]
        if done:
            ranking = Nsga3Ranking(len(self.problem.objective_names), self.options.population)
            order = ranking.order(
                np.array([m.objectives for m in done]), rng, np.array([self._satisfies(m) for m in done])
            )
            done = [done[row] for row in order]
        return [*done, *waiting]

    def _pinned(self, bits: Bits) -> Bits:
        for node, width in self.pins.items():
            bits[node] = width
        return bits

    # one generation

    def _next_generation(self) -> None:
        utility = [r2(self._vectors(members), self._weights) for members in self._members]
        scores = self._scores(np.array(utility))
        if self.generation > 0:
            if self.options.resize:
                self.allocation = share_slots(scores, int(self.allocation.sum()), self.options.min_size)
            self._survive()
        self._record(utility, scores)
        self.generation += 1
        offspring: list[list[Member]] = []
        for s, (one, members) in enumerate(zip(self.species, self._members, strict=True)):
            parents = [member.genome for member in members if member.objectives is not None]
            children = one.offspring(parents, len(members), self._streams[s])  # step 1: doubling
            new = [Member(s, genome, "offspring") for genome in children]
            offspring.append([*(m for m in members if m.objectives is None), *new])
            members.extend(new)
        self._enqueue_members(offspring)

    def _vectors(self, members: Sequence[Member]) -> NDArray[np.float64]:
        """Objective vectors of the members under the pins, or of all where none satisfies them."""
        good = [m.objectives for m in members if m.objectives is not None and self._satisfies(m)]
        return np.array(good or [m.objectives for m in members if m.objectives is not None])

    def _satisfies(self, member: Member) -> bool:
        return member.bits is not None and all(member.bits[n] == w for n, w in self.pins.items())

    def _scores(self, indicators: NDArray[np.float64]) -> NDArray[np.float64]:
        """Steps 3 and 4: R2 utility and its upper confidence bound."""
        return ucb_scores(utility_from_r2(indicators), self._evaluated, self.options.ucb_c)

    def _survive(self) -> None:
        """Step 5: rank the whole population, fill every allocation in rank order, then by chance."""
        everyone = [m for members in self._members for m in members if m.objectives is not None]
        order = self._ranking.order(
            np.array([m.objectives for m in everyone]),
            self._rng,
            np.array([self._satisfies(m) for m in everyone]),
        )
        survivors: list[list[Member]] = [[] for _ in self.species]
        for row in order:
            member = everyone[row]
            if len(survivors[member.species]) < self.allocation[member.species]:
                survivors[member.species].append(member)
        for s, members in enumerate(survivors):
            missing = int(self.allocation[s]) - len(members)
            if missing > 0:
                members.extend(self._random_offspring(s, members, missing))
        self._members = survivors

    def _random_offspring(self, s: int, members: Sequence[Member], count: int) -> list[Member]:
        rng = self._streams[s]
        parents = [member.genome for member in members]
        one = self.species[s]
        genomes = one.offspring(parents, count, rng) if parents else one.initial(count, rng)
        return [Member(s, genome, "random") for genome in genomes]

    def _enqueue_members(self, groups: Sequence[Sequence[Any]]) -> None:
        """Step 2's order: the species take turns, each evenly over the generation."""
        places = [
            ((i + 0.5) / len(group), s, member)
            for s, group in enumerate(groups)
            for i, member in enumerate(group)
        ]
        places.sort(key=lambda place: place[:2])
        self._pending.extend(member for _, _, member in places)

    def _record(self, indicators: Sequence[float], scores: NDArray[np.float64]) -> None:
        log, front = self.evaluations, self.front
        owners = log.species[front]
        records = tuple(
            SpeciesRecord(
                species=one.name,
                r2=float(indicators[s]),
                score=float(scores[s]),
                allocation=int(self.allocation[s]),
                evaluations=int(self._evaluated[s]),
                front_share=float((owners == s).mean()) if len(front) else 0.0,
            )
            for s, one in enumerate(self.species)
        )
        record = GenerationRecord(self.generation, len(log), self.hypervolume(), records)
        self.history = (*self.history, record)
