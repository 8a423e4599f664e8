"""What a species promises to the engine, checked one promise after the other."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.errors import ContractError
from nemo_lab.search.options import SearchOptions
from nemo_lab.search.problem import Problem
from nemo_lab.search.species import Genome, Species, make_species
from nemo_lab.testing.same import same
from nemo_lab.testing.watching import observe, watched

MEMBERS = ("name", "summary", "initial", "offspring", "decode", "imitate")


def check_species(
    factory: Any, problem: Problem, *, options: SearchOptions | None = None, seed: int = 0
) -> None:
    """Run a species through everything the engine relies on.

    If it has ``observe``, some configurations of the problem are evaluated to show it.

    Args:
        factory: as given to ``create_study``: a name, a class or function (problem, options), or a
            species that is ready made.
        problem: to make it for.
        options: of the search; the defaults if not given.
        seed: of all random numbers.

    Raises:
        ContractError: at the first broken promise; says which, and how to mend it.
    """
    ready = factory(problem, options or SearchOptions()) if callable(factory) else factory
    if not isinstance(ready, str):
        missing = [name for name in MEMBERS if not hasattr(ready, name)]
        if missing:
            raise ContractError(
                f"{type(ready).__name__} lacks {', '.join(missing)}",
                "add the members that nemo_lab.search.species.Species lists",
            )
    species = make_species([ready], problem, options or SearchOptions())[0]
    for text in ("name", "summary"):
        value = getattr(species, text)
        if not isinstance(value, str) or not value:
            raise ContractError(f"{text} is {value!r}", "give a text that is not empty")
    final = getattr(species, "final", False)
    if not isinstance(final, bool):
        raise ContractError(f"final is {final!r}", "make it True or False, or leave it out")
    _check_initial(species, problem, seed)
    _check_offspring(species, problem, seed)
    _check_imitate(species, problem, seed)
    if hasattr(species, "observe"):
        _check_observe(factory, problem, options or SearchOptions(), seed)


def _check_initial(species: Species, problem: Problem, seed: int) -> None:
    for count in (1, 2, 5):
        genomes = species.initial(count, np.random.default_rng(seed))
        _check_count("initial", genomes, count)
        for genome in genomes:
            _decoded(species, genome, problem)
    _check_repeats("initial", species, problem, lambda: species.initial(4, np.random.default_rng(seed)))


def _check_offspring(species: Species, problem: Problem, seed: int) -> None:
    parents = species.initial(4, np.random.default_rng(seed))
    before = copy.deepcopy(parents)
    for mothers, count in ((4, 4), (4, 1), (3, 5), (1, 3)):
        children = species.offspring(parents[:mothers], count, np.random.default_rng(seed))
        _check_count(f"offspring of {mothers} parents", children, count)
        for child in children:
            _decoded(species, child, problem)
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
    given = bits.copy()
    genomes = species.imitate(bits, rng)
    _check_count("imitate", genomes, len(bits))
    if not np.array_equal(bits, given):
        raise ContractError("imitate changed the bits it was given", "work on a copy")
    made = np.array([_decoded(species, genome, problem) for genome in genomes]).astype(float)
    far = np.abs(made - bits).mean()
    chance = np.abs(bits[:, None].astype(float) - bits[None, :]).mean()
    if far > 0 and far >= chance / 2:
        raise ContractError(
            f"imitations are {far:.1f} bits a node from their sources, where unrelated ones are {chance:.1f}",
            "return genomes that decode to the given widths, or close to them",
        )


def _check_observe(factory: Any, problem: Problem, options: SearchOptions, seed: int) -> None:
    """Two of a kind see the same search, twice: they must have the same children and leave it as it is."""
    views = watched(problem, seed)

    def children() -> Iterator[NDArray[np.uint8]]:
        species = make_species([factory], problem, options)[0]
        parents = species.initial(4, np.random.default_rng(seed))
        for view in views:
            observe(species, view)
            for mothers, count in ((4, 4), (4, 1), (1, 3)):
                made = species.offspring(parents[:mothers], count, np.random.default_rng(seed))
                _check_count("offspring after observe", made, count)
                yield np.array([_decoded(species, genome, problem) for genome in made])

    first = list(children())
    anew = isinstance(factory, str) or callable(factory)  # one that is ready made has seen it all by now
    if anew and not same(first, list(children())):
        raise ContractError(
            "offspring differ after observe saw the same search",
            "draw no random numbers in it, and keep what it learns in the species alone",
        )


def _check_count(what: str, genomes: Any, count: int) -> None:
    if not isinstance(genomes, list) or len(genomes) != count:
        got = f"{len(genomes)} genomes" if isinstance(genomes, list) else f"a {type(genomes).__name__}"
        raise ContractError(f"{what} returned {got}, asked for {count}", "return a list of just as many")


def _check_repeats(what: str, species: Species, problem: Problem, make: Any) -> None:
    one, two = ([_decoded(species, genome, problem) for genome in make()] for _ in range(2))
    if not np.array_equal(one, two):
        raise ContractError(
            f"{what} gave other genomes for the same random generator",
            "draw every random number from the generator that is passed in",
        )


def _decoded(species: Species, genome: Genome, problem: Problem) -> NDArray[np.uint8]:
    before = copy.deepcopy(genome)
    bits = species.decode(genome)
    if not isinstance(bits, np.ndarray) or bits.dtype != np.uint8 or bits.shape != (problem.num_nodes,):
        shape = f"{bits.dtype}{list(bits.shape)}" if isinstance(bits, np.ndarray) else type(bits).__name__
        raise ContractError(f"decode returned {shape}", f"return uint8[{problem.num_nodes}], one per node")
    wrong = sorted(set(bits.tolist()) - set(problem.bit_widths))
    if wrong:
        raise ContractError(
            f"decode returned the width {wrong[0]}", f"choose from {tuple(problem.bit_widths)}"
        )
    kept = bits.copy()
    if not np.array_equal(species.decode(genome), kept):
        raise ContractError("decode reads other widths from the same genome", "draw no random numbers in it")
    if not same(genome, before):
        raise ContractError("decode changed its genome", "work on a copy")
    return kept
