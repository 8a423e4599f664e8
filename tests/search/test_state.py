"""An engine that is saved and restored goes on as if nothing had happened, bit for bit."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nemo_lab.search import Engine, SearchOptions
from nemo_lab.search.presets import PRESETS
from nemo_lab.search.species import make_species
from tests.toy import ToyProblem


def make(problem: ToyProblem, preset: str, **given: Any) -> Engine:
    options = SearchOptions.make(**{**PRESETS[preset].options, "population": 12, **given})
    return Engine(problem, make_species(PRESETS[preset].species, problem, options), options, seed=3)


def run(engine: Engine, problem: ToyProblem, until: int) -> None:
    while len(engine.evaluations) < until:
        candidate = engine.ask()
        if candidate is None:
            return
        engine.tell(candidate, problem.evaluate(candidate.bits[None])[0])


STEERS: dict[int, Callable[[Engine], Any]] = {
    20: lambda e: e.steering.pin({1: 4}),
    31: lambda e: e.steering.reseed(0, "sensitivity", 1.0),
    47: lambda e: (e.steering.freeze(e.species[1].name, True), e.steering.share(e.species[2].name, 0.4)),
    60: lambda e: e.steering.undo(),
    61: lambda e: e.steering.redo(),
    70: lambda e: e.steering.constrain({0: 0.8}),
    80: lambda e: e.steering.undo(),
    90: lambda e: e.steering.add_species(make_species(["integer"], e.problem, e.options)[0]),
    100: lambda e: e.steering.remove_species(e.species[0].name),
    110: lambda e: e.steering.enqueue(np.full((2, e.problem.num_nodes), 5, dtype=np.uint8)),
}


def steered(engine: Engine, problem: ToyProblem, until: int) -> None:
    start = len(engine.evaluations)
    for at in sorted(STEERS):
        if start < at <= until:
            run(engine, problem, at)
            STEERS[at](engine)
    run(engine, problem, until)


@functools.cache
def undisturbed(preset: str) -> Engine:
    engine = make(ToyProblem(), preset)
    steered(engine, ToyProblem(), 160)
    return engine


@pytest.mark.parametrize("preset", ["default", "paper"])
@pytest.mark.parametrize("at", [1, 76, 95, 119])
def test_a_restored_engine_goes_on_bit_for_bit(toy: ToyProblem, preset: str, at: int) -> None:
    whole = undisturbed(preset)
    part = make(toy, preset)
    steered(part, toy, at)
    state = part.state.state_dict()
    log, history = part.evaluations, part.history
    fresh = make(toy, preset)
    fresh.state.load_state_dict(state, log, history, lambda name: make_species([name], toy, fresh.options)[0])
    steered(fresh, toy, 160)
    for name, column in vars(whole.evaluations).items():
        assert np.array_equal(column, getattr(fresh.evaluations, name)), name
    assert repr(whole.history) == repr(fresh.history)  # NaN is NaN
    assert np.array_equal(whole.front, fresh.front)
    assert len(whole.evaluations) == 160
