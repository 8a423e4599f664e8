"""The whole state of a search, which engine and steering both act on; it saves and restores itself.

Candidates may be out when it is saved, and then are so again. What the evaluations tell is not in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np

from nemo_lab.search.archive import Archive, Evaluations
from nemo_lab.search.decisions import Ledger
from nemo_lab.search.members import NO_SPECIES, GenerationRecord, Member
from nemo_lab.search.moment import Reversible
from nemo_lab.search.objective import varying
from nemo_lab.search.options import SearchOptions
from nemo_lab.search.population import Population
from nemo_lab.search.problem import Problem, bounds_of
from nemo_lab.search.queue import Queue
from nemo_lab.search.reach import reachable
from nemo_lab.search.roster import Roster
from nemo_lab.search.species import Bits, Species
from nemo_lab.search.turnover import Turnover, bounded
from nemo_lab.search.view import SearchView


class SearchState(Reversible):
    """Parts of a search, each of which owns what it changes.

    Args:
        problem: what to search; only its description is used, never ``evaluate``.
        species: the competing species, at least one.
        options: every constant.
        seed: of all random numbers.

    Attributes:
        population: the members of every species.
        queue: who is evaluated next.
        archive: all evaluations, and the front.
        begun_with: names of the species at the start.
        ledger: what people decided.
        done, undone: who came and went by each decision of the ledger, the latest last, see ``remember``.
        generation: from 0.
        history: the end of each generation.
        exhausted: whether nothing is left that was not evaluated.
        asks: how often a candidate was asked for since the last tell or steer; with it a log of these says
            in which order all three came, so that the log alone is enough to go through a run again.
        view: the search as species saw it last, None before.
        recent: config ids and members of evaluations that no generation was bred from yet, with ``ahead``.
        sensitivity: float64[Q, W], what each node at each width is expected to harm; None if nobody said.
        rng: for configurations that no species makes.
    """

    def __init__(
        self, problem: Problem, species: Sequence[Species], options: SearchOptions, seed: int
    ) -> None:
        self.problem, self.options, self.seed = problem, options, seed
        self.bounds = bounds_of(problem)
        own, *seeds = np.random.SeedSequence(seed).spawn(1 + len(species))
        self.rng = np.random.default_rng(own.spawn(1)[0])
        columns = varying(problem)
        self.population = Population(species, options, columns, [own, *seeds])
        self.queue = Queue()
        self.archive = Archive(problem.num_nodes, self.bounds, columns)
        self.begun_with = tuple(one.name for one in species)
        self.ledger = Ledger(self.begun_with)
        self.done: tuple[Turnover, ...] = ()
        self.undone: tuple[Turnover, ...] = ()
        self.generation = 0
        self.history: tuple[GenerationRecord, ...] = ()
        self.exhausted = False
        self.asks = 0
        self.view: SearchView | None = None
        self.recent: list[tuple[int, Member]] = []
        self.sensitivity: np.ndarray | None = None
        super().__init__()
        self.population.before = self.keep_species

    def begin(self) -> None:
        """Make the first population, where nobody has."""
        if not self.population.members:
            self.whole(self._begin)

    def _begin(self) -> None:
        if self.options.uniform:
            for width in self.problem.bit_widths:
                bits = np.full(self.problem.num_nodes, width, dtype=np.uint8)
                self.queue.append([Member(NO_SPECIES, None, "initial", bits)])
        self.take_turns(self.population.begin())

    def take_turns(self, groups: Sequence[Sequence[Member]]) -> None:
        """Step 2's order: the species take turns, each evenly over the generation."""
        places = [
            ((i + 0.5) / len(group), s, member)
            for s, group in enumerate(groups)
            for i, member in enumerate(group)
        ]
        places.sort(key=lambda place: place[:2])
        self.queue.append(member for _, _, member in places)

    def take_asks(self) -> int:
        """What ``asks`` says, to be noted beside a tell or a steer; it begins again at 0."""
        asks, self.asks = self.asks, 0
        return asks

    def known(self, bits: Bits) -> bool:
        """Whether uint8[Q] was evaluated, or is being evaluated."""
        return self.archive.find(bits) is not None or self.queue.is_out(bits)

    def allowed(self) -> np.ndarray:
        """bool[Q, W]: widths that the problem and pins leave to each node."""
        return self.ledger.constraints.allowed(self.problem)

    @cached_property
    def reach(self) -> np.ndarray:
        """float[2, K]: the box that gains are measured in; asked of the problem's costs on first use."""
        return reachable(self.problem) if self.options.find_reach else self.bounds

    @property
    def box(self) -> np.ndarray:
        """float[2, K]: what of it is wanted."""
        return self.ledger.constraints.box(self.reach)

    def look(self, count: int | None = None) -> SearchView:
        """The search as it is now, or by its first evaluations alone."""
        log, box, allowed = self.archive.evaluations, self.box, self.allowed()
        made = len(log) if count is None else count
        front = self.archive.front_of(made, self.ledger.constraints)
        return SearchView(log.first(made), front, allowed, box, self.known, self.sensitivity)

    @property
    def next_learnt(self) -> int:
        """How many evaluations the next generation is bred from; the first waits for all."""
        asked = len(self.archive) + len(self.queue.out)
        learnt = 0 if self.view is None else len(self.view.evaluations)
        return max(asked - self.options.ahead, learnt) if self.generation else asked

    def late(self, learnt: int) -> set[Member]:
        """Members that a generation bred from the first ``learnt`` evaluations does without."""
        self.recent = [(config, member) for config, member in self.recent if config >= learnt]
        return {*(member for _, member in self.recent), *(one.member for one in self.queue.out)}

    def note_recent(self, config: int, member: Member) -> None:
        """A member has its objectives, under a config id."""
        if self.options.ahead and not member.hand_made:
            self.recent.append((config, member))

    def present(self) -> Iterator[Member]:
        """Everyone who lives or waits."""
        return chain(chain.from_iterable(self.population.members), self.queue)

    def remember(self, done: Sequence[Turnover], undone: Sequence[Turnover]) -> None:
        """Who came and went by the decisions of the ledger that can be taken back, and made again."""
        done = done[max(0, len(done) - len(self.ledger.done)) :]
        kept = bounded([*reversed(done), *reversed(undone)], self.present())
        self.done, self.undone = tuple(kept[: len(done)][::-1]), tuple(kept[len(done) :][::-1])

    def seed_of(self, species: int) -> np.random.SeedSequence:
        """The seed of a species by position, also of one that comes in the middle of a run."""
        return np.random.SeedSequence(self.seed, spawn_key=(1 + species,))

    # saving

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides how a search goes on, as plain numbers, texts and arrays.

        Raises:
            OpaqueError: if a genome, or what a species remembers, cannot be written down.
        """
        turnovers = (*self.done, *self.undone)
        unevaluated, recent = self.queue.unevaluated(), [member for _, member in self.recent]
        passing = ((*one.entered, *one.left) for one in turnovers)
        roster = Roster(chain(self.present(), unevaluated, recent, *passing))
        return {
            "members": roster.state_dict(),
            "population": self.population.state_dict(roster),
            "queue": roster.numbers(unevaluated),
            "out": len(self.queue.out),
            "asks": self.asks,
            "recent": [[config for config, _ in self.recent], roster.numbers(recent)],
            "archive": self.archive.state_dict(),
            "ledger": self.ledger.state_dict(),
            "done": [one.state_dict(roster) for one in self.done],
            "undone": [one.state_dict(roster) for one in self.undone],
            "random": self.rng.bit_generator.state,
            "view": self.view and self.view.state_dict(),
            "sensitivity": self.sensitivity,
            "generation": self.generation,
            "exhausted": self.exhausted,
        }

    def load_state_dict(
        self,
        saved: Mapping[str, Any],
        evaluations: Evaluations,
        history: Sequence[GenerationRecord],
        make: Callable[[str], Species],
    ) -> None:
        """Take up a state that was saved.

        Args:
            saved: from ``state_dict``, of the same problem, options and seed; this one must not have begun.
            evaluations: made by then.
            history: of the generations ended by then.
            make: gives a species by name that was added in the middle of the run.
        """
        roster = Roster.from_state(saved["members"])
        self.ledger = Ledger.from_state(saved["ledger"])
        for position in range(len(self.population.species), len(self.ledger.species)):
            self.population.append(make(self.ledger.species[position]), self.seed_of(position))
        self.archive.load_state_dict(saved["archive"], evaluations)
        self.queue.append(roster.named(saved["queue"]))
        for member in roster.named(saved["queue"][: saved.get("out", 0)]):
            self.queue.send(np.array(member.bits))
        self.asks = saved.get("asks", 0)
        configs, recent = saved.get("recent", ([], []))
        self.recent = list(zip(configs, roster.named(recent), strict=True))
        self.done = tuple(Turnover.from_state(one, roster) for one in saved["done"])
        self.undone = tuple(Turnover.from_state(one, roster) for one in saved["undone"])
        self.rng.bit_generator.state = saved["random"]
        self.generation, self.exhausted = saved["generation"], saved["exhausted"]
        self.history = tuple(history)
        self.sensitivity = saved.get("sensitivity")
        if saved["view"] is not None:
            log = self.archive.evaluations
            self.view = SearchView.from_state(saved["view"], log, self.known, self.sensitivity)
        self.population.load_state_dict(saved["population"], roster, self.view)
