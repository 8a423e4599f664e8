"""Searches in miniature: what a species does with what it sees, and with what it remembers."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.errors import ContractError
from nemo_lab.problem import Problem
from nemo_lab.search.archive import EvaluationLog, ParetoFront
from nemo_lab.search.constraints import Constraints
from nemo_lab.search.problem import bounds_of, evaluate_one
from nemo_lab.search.species import OpaqueError, Species
from nemo_lab.search.view import SearchView
from nemo_lab.testing.genomes import check_count, decoded
from nemo_lab.testing.same import same


def watched(problem: Problem, seed: int, counts: tuple[int, ...] = (6, 9, 12)) -> list[SearchView]:
    """What a species sees after each number of evaluations: free, with the first node pinned, free again."""
    rng = np.random.default_rng(seed)
    widths = tuple(problem.bit_widths)
    log = EvaluationLog(problem.num_nodes, len(problem.objective_names))
    views: list[SearchView] = []
    for pins in ({}, {0: widths[-1]}, {}):
        constraints, front = Constraints(pins=pins), ParetoFront()
        while len(log) < counts[len(views)]:
            bits = constraints.apply(rng.choice(widths, size=problem.num_nodes).astype(np.uint8), problem)
            objectives = evaluate_one(problem, bits)
            log.append(bits=bits, objectives=objectives, species=-1, origin=0, generation=len(views))
        evaluations = log.view()
        front.rebuild(evaluations, constraints)
        known = {row.tobytes() for row in evaluations.bits}
        views.append(
            SearchView(
                evaluations,
                front.ids,
                constraints.allowed(problem),
                constraints.box(bounds_of(problem)),
                lambda bits, known=known: bits.tobytes() in known,  # type: ignore[misc]
            )
        )
    return views


def check_observe(
    fresh: Callable[[], Species], problem: Problem, views: Sequence[SearchView], seed: int, repeated: bool
) -> None:
    """Two of a kind see the same search: they must have the same children and leave it as it is.

    Args:
        fresh: makes one.
        problem: that it is for.
        views: shown one after the other.
        seed: of its offspring.
        repeated: whether ``fresh`` can be called twice.

    Raises:
        ContractError: if they do not.
    """

    def life() -> list[Any]:
        species, found = fresh(), []
        for view in views:
            _show(species, view)
            found.append(_children(species, problem, seed))
        return found

    first = life()
    if repeated and not same(first, life()):
        raise ContractError(
            "offspring differ after observe saw the same search",
            "draw no random numbers in it, and keep what it learns in the species alone",
        )


def check_state(
    fresh: Callable[[], Species], problem: Problem, views: Sequence[SearchView], seed: int
) -> None:
    """One that was saved, and one made anew that took over its state, go on like one that never was.

    A species that does not say what it remembers (``OpaqueError``) promises nothing here.

    Raises:
        ContractError: if they do not, or the state is nothing that can be written to a file.
    """
    never, saved, loaded = fresh(), fresh(), fresh()
    *earlier, last = views
    for view in earlier:
        for species in (never, saved):
            _show(species, view)
            _children(species, problem, seed)
    try:
        state = _written(saved.state_dict())
    except OpaqueError:
        return
    _show(loaded, earlier[-1])
    loaded.load_state_dict(state)

    def compare() -> None:
        expected = _children(never, problem, seed)
        if not same(expected, _children(saved, problem, seed)):
            raise ContractError("state_dict changed what comes next", "change nothing in it")
        if not same(expected, _children(loaded, problem, seed)):
            raise ContractError(
                "a species that was saved and loaded has other offspring than one that was not",
                "let state_dict return all that it remembers beside the latest view",
            )

    compare()
    for species in (never, saved, loaded):
        _show(species, last)
    compare()


def _children(species: Species, problem: Problem, seed: int) -> list[NDArray[np.uint8]]:
    """Decoded offspring of many parents, of many for one child, and of one parent."""
    parents = species.initial(4, np.random.default_rng(seed))
    found = []
    for mothers, count in ((4, 4), (4, 1), (1, 3)):
        made = species.offspring(parents[:mothers], count, np.random.default_rng(seed))
        check_count("offspring after observe", made, count)
        found.append(np.array([decoded(species, genome, problem) for genome in made]))
    return found


def _written(state: Any) -> Any:
    """A state as it comes back from a file."""
    if state is None or isinstance(state, bool | int | float | str):
        return state
    if isinstance(state, np.generic):
        return state.item()
    if isinstance(state, np.ndarray) and state.dtype.kind in "biuf":
        return state.copy()
    if isinstance(state, list | tuple):
        return [_written(value) for value in state]
    if isinstance(state, Mapping):
        found = next((f"the key {key!r:.40}" for key in state if not isinstance(key, str)), "")
        if not found:
            return {key: _written(value) for key, value in state.items()}
    else:
        found = f"an object of type {type(state).__name__}"
    raise ContractError(
        f"state_dict returned {found}", "return numbers, texts, arrays, lists, and dicts with text keys"
    )


def _show(species: Species, view: SearchView) -> None:
    """Let it see a search, and nothing else."""
    parts = (vars(view.evaluations), view.front, view.allowed, view.box)
    before, drawn = copy.deepcopy(parts), _common_generators()
    message = "observe changed what it was given"
    try:
        species.observe(view)
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        raise ContractError(message, "work on a copy") from error
    if not same(parts, before):
        raise ContractError(message, "work on a copy")
    if not same(drawn, _common_generators()):
        raise ContractError(
            "observe drew random numbers", "draw them in offspring, from the generator that is passed in"
        )


def _common_generators() -> tuple[Any, ...]:
    """The state of the generators that everybody shares."""
    return random.getstate(), np.random.get_state()  # noqa: NPY002
