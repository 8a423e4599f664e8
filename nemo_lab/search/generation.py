"""One generation: judge the species by what is known, let the best survive, breed.

The step numbers are those of docs/method.md, section 5 (Algorithm 1 of arXiv 2106.07611).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nemo_lab.search.members import GenerationRecord, SpeciesRecord
from nemo_lab.search.state import SearchState
from nemo_lab.search.view import SearchView


def next_generation(state: SearchState) -> None:
    """End a generation, and let the children of the next one wait for their evaluation.

    With the option ``ahead`` it does without the candidates asked for last, whether they were told or not:
    their members live on beside the others, and are judged with the generation after.
    """
    population, ledger, learnt = state.population, state.ledger, state.next_learnt
    late = state.late(learnt)
    aside = [[member for member in living if member in late] for living in population.members]
    population.leave(late)
    evaluated = population.evaluated - state.archive.made_by(len(population.species), since=learnt)
    indicators, scores = population.utilities(ledger.constraints, state.box, evaluated)
    if state.generation > 0:
        population.survive(scores, ledger.constraints, ledger.controls)
    elif state.sensitivity is not None:
        population.expect(ledger.controls)
    view = state.look(learnt)
    state.history = (*state.history, _record(state, view, indicators, scores, evaluated))
    state.generation += 1
    state.view = view
    children = population.breed(view, ledger.controls)
    population.members = [[*living, *those] for living, those in zip(population.members, aside, strict=True)]
    state.take_turns(children)


def _record(
    state: SearchState,
    view: SearchView,
    indicators: Sequence[float],
    scores: NDArray[np.float64],
    evaluated: NDArray[np.int64],
) -> GenerationRecord:
    """How every species stands at the end of a generation."""
    population, owners = state.population, view.evaluations.species[view.front]
    records = tuple(
        SpeciesRecord(
            species=one.name,
            r2=float(indicators[s]),
            score=float(scores[s]),
            allocation=int(population.allocation[s]),
            evaluations=int(evaluated[s]),
            front_share=float((owners == s).mean()) if len(view.front) else 0.0,
        )
        for s, one in enumerate(population.species)
    )
    reached = state.archive.hypervolume(view.front)
    return GenerationRecord(state.generation, len(view.evaluations), reached, records)
