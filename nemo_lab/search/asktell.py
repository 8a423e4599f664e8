"""NEMO's search, generation by generation, by ask and tell: deterministic, no clock and no screen.

One generation of Algorithm 1 in arXiv 2106.07611; the step numbers are those of METHOD section 5.
Evaluation can be anywhere: ``ask`` gives candidates one by one, ``tell`` takes their objectives in
any order, and a new generation begins when all of one are told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.search.archive import ORIGINS, EvaluationLog, Evaluations, ParetoFront
from nemo_lab.search.constraints import Pins, Rules
from nemo_lab.search.indicators import hypervolume
from nemo_lab.search.lift import lift
from nemo_lab.search.members import NO_SPECIES, Candidate, GenerationRecord, Member, SpeciesRecord
from nemo_lab.search.options import SearchOptions
from nemo_lab.search.population import Population
from nemo_lab.search.problem import Problem, bounds_of
from nemo_lab.search.species import Bits, Species
from nemo_lab.search.species_controls import Controls
from nemo_lab.search.unevaluated import unseen
from nemo_lab.search.view import SearchView

BARREN = 3  # generations in a row without anything new before the engine draws by itself


class AskTell:
    """One search: candidates out, objectives in; ``nemo_lab.search.Engine`` is this and can be steered.

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
        self.options = options
        self.bounds = bounds_of(problem)
        objectives = len(problem.objective_names)
        self.seed = seed
        own, *seeds = np.random.SeedSequence(seed).spawn(1 + len(species))
        self._rng = np.random.default_rng(own.spawn(1)[0])
        self.population = Population(species, options, objectives, [own, *seeds])
        self._log = EvaluationLog(problem.num_nodes, objectives)
        self._front = ParetoFront()
        self._measured = (self._front.ids, 0.0)
        self._pending: deque[Member] = deque()
        self._in_flight: dict[Member, bytes] = {}
        self._twins: dict[bytes, list[Member]] = {}
        self._view: SearchView | None = None
        self.rules = Rules()
        self.controls = Controls()
        self.generation = 0
        self.history: tuple[GenerationRecord, ...] = ()
        self.exhausted = False

    def begin(self) -> None:
        """Make the first population; ``ask`` and ``reseed`` do it where nobody has."""
        if self.population.members:
            return
        if self.options.uniform:
            for width in self.problem.bit_widths:
                bits = np.full(self.problem.num_nodes, width, dtype=np.uint8)
                self._pending.append(Member(NO_SPECIES, None, "initial", bits))
        self._enqueue_members(self.population.begin())

    # ask and tell

    def ask(self) -> Candidate | None:
        """The next configuration to evaluate.

        Pins in force are applied here, so a pin acts on everything evaluated after it. With the option
        ``dedupe`` a configuration that is known is not given again: its member tries other children, then
        takes the known objectives.

        Returns:
            None while answers are missing for the next generation, or if ``exhausted``: nothing is left that
            was not evaluated.
        """
        self.begin()
        barren = 0
        while True:
            while self._pending:
                member = self._pending[0]
                member.bits = bits = self._bits_of(member)
                if self.options.dedupe and self._known(bits):
                    bits = self._retry(member, bits)
                self._pending.popleft()
                if not (self.options.dedupe and self._take_known(member, bits)):
                    self._in_flight[member] = bits.tobytes()
                    return Candidate(bits, member)
            if self._in_flight:
                return None
            barren += 1
            if barren > BARREN:
                found = unseen(self.problem, self.rules, self._known, self._rng)
                self.exhausted = found is None
                if found is None:
                    return None
                self._pending.append(Member(NO_SPECIES, None, "random", found))
            else:
                self._next_generation()

    def ask_some(self, most: int) -> list[Candidate]:
        """Up to so many candidates, at least one unless ``exhausted``."""
        found: list[Candidate] = []
        while len(found) < most:
            candidate = self.ask()
            if candidate is None:
                break
            found.append(candidate)
        if not found and not self.exhausted:
            raise RuntimeError("the engine waits for an evaluation that nobody makes")
        return found

    def tell(self, candidate: Candidate, objectives: NDArray[np.float64]) -> int:
        """Take the objectives float[K] of a candidate; returns its config id."""
        member = candidate.member
        del self._in_flight[member]
        member.objectives = np.array(objectives, dtype=np.float64)
        config = self._log.append(
            bits=candidate.bits,
            objectives=member.objectives,
            species=member.species,
            origin=ORIGINS.index(member.origin),
            generation=self.generation,
        )
        if not member.hand_made:
            self.population.evaluated[member.species] += 1
        for twin in self._twins.pop(candidate.bits.tobytes(), ()):
            twin.objectives = member.objectives.copy()
        self._front.add(config, self.evaluations, self.rules)
        return config

    def give_back(self, candidate: Candidate) -> None:
        """Return a candidate that could not be evaluated: it is the next one asked for."""
        del self._in_flight[candidate.member]
        self._pending.extendleft(reversed(self._twins.pop(candidate.bits.tobytes(), [])))
        self._pending.appendleft(candidate.member)

    def _bits_of(self, member: Member) -> Bits:
        if member.hand_made:
            return self.rules.apply(np.array(member.bits, dtype=np.uint8))
        one = self.species[member.species]
        if member.imitates is not None:
            member.genome = self.population.learn(member.species, member.imitates)
            member.imitates = None
        bits = self.rules.apply(np.array(one.decode(member.genome), dtype=np.uint8))
        if self.options.lift and not getattr(one, "final", False):
            return lift(bits, self.problem, self._allowed)
        return bits

    def _known(self, bits: Bits) -> bool:
        return self._log.find(bits) is not None or bits.tobytes() in self._in_flight.values()

    def _retry(self, member: Member, bits: Bits) -> Bits:
        """Of another child that is not known, if one is found in a few tries; else ``bits``."""
        able = member.origin in ("offspring", "random") and not (member.hand_made or member.retried)
        member.retried = True
        for _ in range(self.options.retries if able else 0):
            member.genome = self.population.another(member.species)
            member.bits = bits = self._bits_of(member)
            if not self._known(bits):
                break
        return bits

    def _take_known(self, member: Member, bits: Bits) -> bool:
        """Give a member what is known of its configuration, now or when it comes; returns whether it will."""
        if member.asked_for or not self._known(bits):
            return False
        config = self._log.find(bits)
        if config is None:
            self._twins.setdefault(bits.tobytes(), []).append(member)
        else:
            member.objectives = self.evaluations.objectives[config].copy()
        return True

    # results

    @property
    def species(self) -> tuple[Species, ...]:
        """All species that ever took part; a position in them names one."""
        return self.population.species

    @property
    def evaluations(self) -> Evaluations:
        """All evaluations so far, read-only; a row's number is its config id."""
        return self._log.view()

    @property
    def front(self) -> NDArray[np.intp]:
        """Config ids of the non-dominated evaluations under the rules; ours (step 6)."""
        return self._front.ids

    @property
    def allocation(self) -> NDArray[np.int64]:
        """Members each species keeps."""
        return self.population.allocation

    @property
    def pins(self) -> Pins:
        """Node -> bit-width, or (lowest, highest), in force."""
        return self.rules.held

    @property
    def waiting(self) -> int:
        """Hand-made and projected configurations that wait to be evaluated."""
        return sum(member.asked_for for member in self._pending)

    def hypervolume(self) -> float:
        """Normalised hypervolume of the front under the rules."""
        if self._measured[0] is not self.front:
            vectors = self.evaluations.objectives[self.front]
            self._measured = (self.front, hypervolume(vectors, self.bounds))
        return self._measured[1]

    # one generation

    @property
    def _allowed(self) -> NDArray[np.bool_]:
        return self.rules.allowed(tuple(self.problem.bit_widths), self.problem.num_nodes)

    def _next_generation(self) -> None:
        indicators, scores = self.population.utilities(self.rules, self.rules.box(self.bounds))
        if self.generation > 0:
            self.population.survive(scores, self.rules, self.controls)
        self._record(indicators, scores)
        self.generation += 1
        self._view = self._look()
        self._enqueue_members(self.population.breed(self._view, self.controls))

    def _look(self) -> SearchView:
        """The search as it is now."""
        box = self.rules.box(self.bounds)
        return SearchView(self.evaluations, self.front, self._allowed, box, self._known)

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
        front = self.front
        owners = self.evaluations.species[front]
        records = tuple(
            SpeciesRecord(
                species=one.name,
                r2=float(indicators[s]),
                score=float(scores[s]),
                allocation=int(self.allocation[s]),
                evaluations=int(self.population.evaluated[s]),
                front_share=float((owners == s).mean()) if len(front) else 0.0,
            )
            for s, one in enumerate(self.species)
        )
        record = GenerationRecord(self.generation, len(self._log), self.hypervolume(), records)
        self.history = (*self.history, record)
