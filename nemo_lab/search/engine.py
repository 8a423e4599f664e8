"""NEMO's search, generation by generation, by ask and tell: deterministic, no clock and no screen.

One generation of Algorithm 1 in arXiv 2106.07611; the step numbers are those of docs/method.md, section 5.
Evaluation can be anywhere: ``ask`` gives candidates one by one, ``tell`` takes their objectives in
any order, and a new generation begins when all of one are told, but for those that it goes ahead of.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from nemo_lab.search.archive import ORIGINS, Evaluations
from nemo_lab.search.constraints import Pins
from nemo_lab.search.decisions import Ledger
from nemo_lab.search.generation import next_generation
from nemo_lab.search.lift import lift
from nemo_lab.search.members import NO_SPECIES, Candidate, GenerationRecord, Member
from nemo_lab.search.options import SearchOptions
from nemo_lab.search.population import Population
from nemo_lab.search.problem import Problem
from nemo_lab.search.species import Bits, Species
from nemo_lab.search.state import SearchState
from nemo_lab.search.steering import Steering
from nemo_lab.search.unevaluated import unevaluated

BARREN = 3  # generations in a row without anything new before the engine draws by itself


class _AnswersMissing(Exception):  # noqa: N818  no error: who asks comes again
    """The next candidate depends on answers that are not there yet."""


class Engine:
    """One search: candidates out, objectives in.

    Args:
        problem: what to search; only its description is used, never ``evaluate``.
        species: the competing species, at least one.
        options: every constant.
        seed: the same seed, answers and interventions give the same candidates, bit for bit.

    Attributes:
        state: everything that the search is made of; ``state.state_dict()`` saves it.
        steering: what a person may change while it goes on.
    """

    def __init__(
        self, problem: Problem, species: Sequence[Species], options: SearchOptions, seed: int
    ) -> None:
        self.problem, self.options = problem, options
        self.state = SearchState(problem, species, options, seed)
        self.steering = Steering(self.state)

    def begin(self) -> None:
        """Make the first population; ``ask`` does it where nobody has."""
        self.state.begin()

    # ask and tell

    def ask(self) -> Candidate | None:
        """The next configuration to evaluate.

        Pins in force are applied here, so a pin acts on everything evaluated after it. With the option
        ``dedupe`` a configuration that is known is not given again: its member tries other children, then
        takes the known objectives.

        What is given does not depend on how many candidates are out: several that are evaluated at once
        are those that would be evaluated one after the other. With the option ``ahead`` that holds across
        generations: a new one is bred from all but so many of those asked for, whether told by then or not.

        Returns:
            None while answers are missing for the next one, and all is as before; or if ``exhausted``.

        Raises:
            Exception: whatever a species raises; nobody was asked then, and all is as before.
        """
        try:
            return self.state.apart(self._ask)
        except _AnswersMissing:
            return None

    def _ask(self) -> Candidate | None:
        self.begin()
        state, dedupe = self.state, self.options.dedupe
        state.asks += 1
        barren = 0
        while True:
            while len(state.queue):
                member = state.queue.first()
                state.keep(member)
                member.bits = bits = self._bits_of(member)
                if dedupe and state.known(bits):
                    bits = self._retry(member, bits)
                if not dedupe or member.asked_for or not state.known(bits):
                    if member.generation < 0:
                        member.generation = state.generation
                    return state.queue.send(bits)
                config = state.archive.find(bits)
                if config is None:  # its objectives are on their way
                    raise _AnswersMissing
                member.objectives = self.evaluations.objectives[config].copy()
                state.note_recent(config, member)
                state.queue.pass_over()
            if state.next_learnt > len(state.archive):
                raise _AnswersMissing
            barren += 1
            if barren > 1 and state.queue.out:  # that nothing new is found is known once all are told
                raise _AnswersMissing
            if barren > BARREN:
                found = unevaluated(self.problem, state.ledger.constraints, state.known, state.rng)
                state.exhausted = found is None
                if found is None:
                    return None
                state.queue.append([Member(NO_SPECIES, None, "random", found)])
            else:
                state.whole(partial(next_generation, state))

    def tell(self, candidate: Candidate, objectives: NDArray[np.float64]) -> int:
        """Take the objectives float[K] of a candidate; returns its config id."""
        state, member = self.state, candidate.member
        place = self.out.index(candidate)
        state.queue.told(candidate)
        member.objectives = np.array(objectives, dtype=np.float64)
        if not member.hand_made:
            state.population.evaluated[member.species] += 1
        config = state.archive.add(
            state.ledger.constraints,
            bits=candidate.bits,
            objectives=member.objectives,
            species=member.species,
            origin=ORIGINS.index(member.origin),
            generation=member.generation,
            asks=state.take_asks(),
            place=place,
        )
        state.note_recent(config, member)
        return config

    def give_back(self, candidate: Candidate) -> None:
        """Return a candidate that could not be evaluated: it is the next one asked for."""
        self.state.queue.give_back(candidate)

    def _bits_of(self, member: Member) -> Bits:
        constraints = self.state.ledger.constraints
        if member.hand_made:
            return constraints.apply(np.array(member.bits, dtype=np.uint8), self.problem)
        one = self.species[member.species]
        if member.imitates is not None:
            member.genome = self.population.learn(member.species, member.imitates)
            member.imitates = None
        bits = constraints.apply(np.array(one.decode(member.genome), dtype=np.uint8), self.problem)
        if self.options.lift and not one.final:
            return lift(bits, self.problem, self.state.allowed())
        return bits

    def _retry(self, member: Member, bits: Bits) -> Bits:
        """Of another child that is not known, if one is found in a few tries; else ``bits``."""
        able = member.origin in ("offspring", "random") and not (member.hand_made or member.retried)
        member.retried = True
        for _ in range(self.options.retries if able else 0):
            member.genome = self.population.another(member.species)
            member.bits = bits = self._bits_of(member)
            if not self.state.known(bits):
                break
        return bits

    # results

    @property
    def population(self) -> Population:
        """The members of all species."""
        return self.state.population

    @property
    def species(self) -> tuple[Species, ...]:
        """All species that ever took part; a position in them names one."""
        return self.population.species

    @property
    def evaluations(self) -> Evaluations:
        """All evaluations so far, read-only; a row's number is its config id."""
        return self.state.archive.evaluations

    @property
    def front(self) -> NDArray[np.intp]:
        """Config ids of the non-dominated evaluations under the constraints; ours (step 6)."""
        return self.state.archive.front

    @property
    def ledger(self) -> Ledger:
        """What people decided."""
        return self.state.ledger

    @property
    def pins(self) -> Pins:
        """Node -> bit-width, or (lowest, highest), in force."""
        return self.ledger.constraints.held

    @property
    def wants_sensitivity(self) -> bool:
        """Whether it would make a difference to say what each node is expected to harm."""
        unknown = callable(self.problem.sensitivity) and self.state.sensitivity is None
        return unknown and not len(self.evaluations) and any(one.reads_sensitivity for one in self.species)

    @property
    def waiting(self) -> int:
        """Hand-made and projected configurations that are not evaluated yet."""
        return sum(member.asked_for for member in self.state.queue.unevaluated())

    @property
    def out(self) -> tuple[Candidate, ...]:
        """Candidates that are being evaluated, in the order asked."""
        return self.state.queue.out

    @property
    def generation(self) -> int:
        """Of the search, from 0."""
        return self.state.generation

    @property
    def history(self) -> tuple[GenerationRecord, ...]:
        """The end of each generation."""
        return self.state.history

    @property
    def exhausted(self) -> bool:
        """Whether nothing is left that was not evaluated."""
        return self.state.exhausted

    def hypervolume(self) -> float:
        """Normalised hypervolume of the front under the constraints."""
        return self.state.archive.hypervolume()
