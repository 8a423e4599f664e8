"""What a species promises to the engine, checked one promise after the other."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from nemo_lab.adapted import adapt_problem
from nemo_lab.choices import choices, fit
from nemo_lab.errors import ContractError
from nemo_lab.problem import Problem
from nemo_lab.search.options import SearchOptions
from nemo_lab.search.species import Species, make_species
from nemo_lab.search.species.adapted import made_by
from nemo_lab.testing.genomes import check_count, decoded
from nemo_lab.testing.hooks import check_hooks
from nemo_lab.testing.same import same
from nemo_lab.testing.watching import check_observe, check_state, watched

MEMBERS = ("name", "summary", "initial", "offspring", "decode", "imitate")


def check_species(factory: Any, problem: Any, *, options: SearchOptions | None = None, seed: int = 0) -> None:
    """Run a species through everything the engine relies on.

    Some configurations of the problem are evaluated, to show the species a search.

    Args:
        factory: as given to ``create_study``: a name, a class or function (problem, options), or a
            species that is ready made.
        problem: to make it for.
        options: of the search; the defaults if not given.
        seed: of all random numbers.

    Raises:
        ContractError: at the first broken promise, or hook that is misspelt; says which, and how to mend it.
    """
    options, problem = options or SearchOptions(), adapt_problem(problem)
    if isinstance(factory, type):
        check_hooks(factory, Species)  # first of all: one that is misspelt leaves a class that cannot be made
    ready = made_by(factory, problem, options)
    if not isinstance(ready, str):
        check_hooks(ready, Species)
        _refuse_missing(type(ready).__name__, [name for name in MEMBERS if not hasattr(ready, name)])
    species = make_species([ready], problem, options)[0]
    if not isinstance(species.summary, str) or not species.summary:
        raise ContractError(f"summary is {species.summary!r}", "give a text that is not empty")
    _check_initial(species, problem, seed)
    _check_offspring(species, problem, seed)
    _check_imitate(species, problem, seed)
    anew = isinstance(factory, str) or callable(factory)  # one that is ready made cannot be made again

    def fresh() -> Species:
        return make_species([factory], problem, options)[0] if anew else species

    views = watched(problem, seed)
    check_observe(fresh, problem, views, seed, repeated=anew)
    if anew:
        check_state(fresh, problem, views, seed)


def _refuse_missing(kind: str, names: list[str]) -> None:
    if names:
        raise ContractError(
            f"{kind} lacks {', '.join(names)}", "add the members that nemo_lab.search.species.Species lists"
        )


def _check_initial(species: Species, problem: Problem, seed: int) -> None:
    for count in (1, 2, 5):
        genomes = species.initial(count, np.random.default_rng(seed))
        check_count("initial", genomes, count)
        for genome in genomes:
            decoded(species, genome, problem)
    _check_repeats("initial", species, problem, lambda: species.initial(4, np.random.default_rng(seed)))


def _check_offspring(species: Species, problem: Problem, seed: int) -> None:
    parents = species.initial(4, np.random.default_rng(seed))
    before = copy.deepcopy(parents)
    for mothers, count in ((4, 4), (4, 1), (3, 5), (1, 3)):
        children = species.offspring(parents[:mothers], count, np.random.default_rng(seed))
        check_count(f"offspring of {mothers} parents", children, count)
        for child in children:
            decoded(species, child, problem)
        if not same(parents, before):
            raise ContractError("offspring changed its parents", "copy a genome before you change it")
    _check_repeats(
        "offspring", species, problem, lambda: species.offspring(parents, 4, np.random.default_rng(seed))
    )


def _check_imitate(species: Species, problem: Problem, seed: int) -> None:
    rng = np.random.default_rng(seed)
    widths = np.asarray(problem.bit_widths, dtype=np.uint8)
    levels = rng.choice(widths, size=6)  # as fronts have them: near one level, with exceptions
    bits = np.repeat(levels[:, None], problem.num_nodes, axis=1)
    other = rng.random(bits.shape) < 0.25
    bits[other] = rng.choice(widths, size=int(other.sum()))
    bits = fit(bits, choices(problem), widths)
    given = bits.copy()
    genomes = species.imitate(bits, rng)
    check_count("imitate", genomes, len(bits))
    if not np.array_equal(bits, given):
        raise ContractError("imitate changed the bits it was given", "work on a copy")
    made = np.array([decoded(species, genome, problem) for genome in genomes]).astype(float)
    far = np.abs(made - bits).mean()
    chance = np.abs(bits[:, None].astype(float) - bits[None, :]).mean()
    if far > 0 and far >= chance / 2:
        raise ContractError(
            f"imitations are {far:.1f} bits a node from their sources, where unrelated ones are {chance:.1f}",
            "return genomes that decode to the given widths, or close to them",
        )


def _check_repeats(what: str, species: Species, problem: Problem, make: Any) -> None:
    one, two = ([decoded(species, genome, problem) for genome in make()] for _ in range(2))
    if not np.array_equal(one, two):
        raise ContractError(
            f"{what} gave other genomes for the same random generator",
            "draw every random number from the generator that is passed in",
        )
