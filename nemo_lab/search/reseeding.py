"""New members of a species: where they come from, and whom they replace."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nemo_lab.choices import choices, fit
from nemo_lab.search.constraints import Constraints
from nemo_lab.search.members import Member
from nemo_lab.search.options import SearchOptions
from nemo_lab.search.population import Population
from nemo_lab.search.problem import Problem
from nemo_lab.search.ranking import Nsga3Ranking
from nemo_lab.search.species import Bits
from nemo_lab.search.utility import penalties_of
from nemo_lab.search.view import SearchView

SOURCES = ("random", "front", "uniform", "sensitivity")
NEEDS_FRONT = ("front", "sensitivity")  # nothing to imitate while nothing is evaluated


def configurations(
    source: str, problem: Problem, options: SearchOptions, view: SearchView, rng: np.random.Generator
) -> Bits | None:
    """uint8[N, Q] of a source by name, None for random members.

    ``"front"`` are the members of the front; ``"uniform"`` one width everywhere, each width once;
    ``"sensitivity"`` the best mixtures, none evaluated yet, by a model of what every node can bear that is
    fitted to all evaluations. ``"front"`` and ``"sensitivity"`` are None before there is an evaluation.
    """
    if source == "uniform":
        every = np.repeat(np.array(problem.bit_widths, dtype=np.uint8)[:, None], problem.num_nodes, axis=1)
        return fit(every, choices(problem), problem.bit_widths)
    if source == "front" and len(view.front):
        return view.evaluations.bits[view.front]
    if source == "sensitivity" and len(view.evaluations):
        from nemo_lab.search.surrogate.proposer import Proposer

        found = Proposer(problem, options).propose(view, [], options.population, rng)
        return np.array(found, dtype=np.uint8) if found else None
    return None


def reseed(
    population: Population,
    species: int,
    fraction: float,
    sources: NDArray[np.uint8] | None,
    constraints: Constraints,
) -> tuple[list[Member], set[Member]]:
    """Replace the worst ``fraction`` of a species: what is not evaluated yet first, then by rank.

    Slots that nobody has taken yet count as members that go.

    Args:
        population: of the search, which is changed.
        species: its position.
        fraction: in (0, 1].
        sources: uint8[N, Q] to imitate; None for random members.
        constraints: to rank by.

    Returns:
        the new members and the gone ones.
    """
    population.turn_to(species)
    rng, members = population.streams[species], population.members[species]
    slots = 0 if population.options.fill else int(population.allocation[species])
    count = int(np.ceil(fraction * max(len(members), slots)))
    if sources is not None and len(sources):
        rounds = max(1, -(-count // len(sources)))
        rows = np.concatenate([rng.permutation(len(sources)) for _ in range(rounds)])[:count]
        new = [Member(species, None, "reseed", imitates=sources[row]) for row in rows]
    else:
        new = [Member(species, genome, "reseed") for genome in population.fresh(species, count)]
    kept = _best_first(population, members, constraints, rng)[: max(0, len(members) - count)]
    gone = set(members) - set(kept)
    for member in kept:
        member.parent = member.objectives is not None
    population.members[species] = [*kept, *new]
    return new, gone


def _best_first(
    population: Population, members: Sequence[Member], constraints: Constraints, rng: np.random.Generator
) -> list[Member]:
    done = [member for member in members if member.objectives is not None]
    waiting = [member for member in members if member.objectives is None]
    if done:
        ranking = Nsga3Ranking(population.ranking.objectives, population.options.population)
        order = ranking.order(population.compared(done), rng, penalties_of(done, constraints))
        done = [done[row] for row in order]
    return [*done, *waiting]
