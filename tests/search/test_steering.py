"""Pins, enqueued configurations and re-seeding, at the level of the engine."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nemo_lab.search import ORIGINS, Engine
from nemo_lab.search.archive import front_ids
from tests.search.test_engine import make_engine, run, step


def rows(engine: Engine, origin: str) -> np.ndarray:
    return np.flatnonzero(engine.evaluations.origin == ORIGINS.index(origin))


def test_pins_act_on_everything_asked_later() -> None:
    engine = run(make_engine(), 30)
    engine.steering.pin({1: 8, 4: 3})
    run(engine, 100)
    later = engine.evaluations.bits[30:]
    assert np.all(later[:, 1] == 8)
    assert np.all(later[:, 4] == 3)
    assert np.all(engine.evaluations.bits[engine.front][:, [1, 4]] == [8, 3])


def test_projected_members_come_first_and_differ_at_pinned_nodes_only() -> None:
    engine = run(make_engine(), 30)
    sources = engine.evaluations.bits[engine.front]
    expected = sources.copy()
    expected[:, 2] = 7
    seen = {row.tobytes() for row in engine.evaluations.bits}
    count = engine.steering.pin({2: 7})
    assert count == len({row.tobytes() for row in expected} - seen)
    assert engine.waiting == count > 0
    run(engine, count)
    projected = engine.evaluations.bits[30:]
    assert rows(engine, "projected").tolist() == list(range(30, 30 + count))
    assert {row.tobytes() for row in projected} == {row.tobytes() for row in expected} - seen
    assert engine.waiting == 0
    assert len(engine.front) > 0


def test_unpinning_brings_earlier_evaluations_back() -> None:
    engine = run(make_engine(), 30)
    before = engine.front.tolist()
    engine.steering.pin({0: 8})
    assert set(engine.front.tolist()) != set(before)
    engine.steering.unpin([0])
    assert engine.front.tolist() == before
    assert engine.pins == {}


def test_a_candidate_in_flight_when_a_pin_comes_does_not_enter_the_front() -> None:
    engine = run(make_engine(), 20)
    candidate = engine.ask()
    assert candidate is not None
    engine.steering.pin({0: 2 if candidate.bits[0] != 2 else 8})
    config = engine.tell(candidate, np.zeros(3))  # would beat everything
    assert config not in engine.front
    engine.steering.unpin([0])
    assert engine.front.tolist() == [config]


def test_a_new_pin_replaces_the_old_one_of_its_node() -> None:
    engine = run(make_engine(), 20)
    engine.steering.pin({0: 8})
    engine.steering.pin({0: 4})
    run(engine, 20)
    assert np.all(engine.evaluations.bits[20:, 0] == 4)


def test_enqueued_configurations_come_next_in_their_order() -> None:
    engine = run(make_engine(), 5)
    engine.steering.pin({0: 5})
    count = engine.waiting
    bits = np.array([[8] * 6, [2] * 6], dtype=np.uint8)
    engine.steering.enqueue(bits)
    bits[:] = 0  # the caller's array is not the engine's
    run(engine, 2 + count)
    log = engine.evaluations
    assert log.bits[5:7].tolist() == [[5, 8, 8, 8, 8, 8], [5, 2, 2, 2, 2, 2]]
    assert log.species[5:7].tolist() == [-1, -1]
    assert rows(engine, "enqueued").tolist() == [5, 6]
    run(engine, 60)
    assert engine.population.allocation.sum() == 12


@pytest.mark.parametrize("species", [0, 1])
@pytest.mark.parametrize("source", ["random", "front"])
@pytest.mark.parametrize("fraction", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("done", [0, 7, 12, 30])
def test_reseeding_replaces_the_right_number(species: int, source: str, fraction: float, done: int) -> None:
    engine = run(make_engine(), done)
    engine.begin()
    held = list(engine.population.members[species])
    count = engine.steering.reseed(species, source, fraction)
    assert count == math.ceil(fraction * len(held))
    now = engine.population.members[species]
    assert len(now) == len(held)
    kept, dropped = [m for m in held if m in now], [m for m in held if m not in now]
    assert len(kept) == len(held) - count
    if any(member.objectives is None for member in kept):
        assert all(member.objectives is None for member in dropped), "what nobody has evaluated goes first"
    for bad in (member.objectives for member in dropped):
        for good in (member.objectives for member in kept):
            if bad is not None and good is not None:
                assert not ((bad <= good).all() and (bad < good).any()), "the worst go first"
    run(engine, count)
    assert rows(engine, "reseed").tolist() == list(range(done, done + count))
    assert set(engine.evaluations.species[done : done + count].tolist()) == {species}
    run(engine, 60)
    assert engine.population.allocation.sum() == 12


def test_reseeding_from_the_front_imitates_front_members() -> None:
    engine = run(make_engine(), 40)
    front = {row.tobytes() for row in engine.evaluations.bits[engine.front]}
    count = engine.steering.reseed(0, "front", 1.0)
    run(engine, count)
    made = [row.tobytes() for row in engine.evaluations.bits[40 : 40 + count]]
    assert set(made) <= front
    assert len(set(made)) == min(count, len(front)), "different front members before any repeats"


@pytest.mark.parametrize("evaluated", ["none of them", "the first is out", "two"])
def test_reseeding_from_the_front_right_after_a_pin_imitates_what_the_pin_made_of_it(evaluated: str) -> None:
    engine = run(make_engine(3), 40)
    front = engine.evaluations.bits[engine.front]
    absent = next(width for width in (2, 3, 4, 5, 6, 8) if not (front[:, 0] == width).any())
    engine.steering.pin({0: absent})
    made = {bytes([absent, *row[1:]]) for row in front.tolist()}
    assert len(engine.front) == 0
    assert engine.waiting == len(made)
    out = engine.ask() if evaluated == "the first is out" else None
    run(engine, 2 if evaluated == "two" else 0)
    count = engine.steering.reseed(0, "front", 1.0)
    if out is not None:
        engine.tell(out, np.zeros(3))
    run(engine, count)
    new = engine.evaluations.bits[rows(engine, "reseed")]
    assert len(new)
    assert {row.tobytes() for row in new} <= made


def test_a_reseeded_species_has_no_old_members_waiting() -> None:
    engine = run(make_engine(), 30)
    engine.steering.reseed(0, "random", 1.0)
    waiting = [member for member in engine.state.queue if member.species == 0]
    assert {member.origin for member in waiting} == {"reseed"}


def test_steering_in_the_same_way_gives_the_same_run() -> None:
    def steered() -> bytes:
        engine = run(make_engine(3, ("continuous", "gcn")), 20)
        engine.steering.pin({1: 6})
        run(engine, 10)
        engine.steering.reseed(1, "front", 0.5)
        engine.steering.enqueue(np.full((1, 6), 3, dtype=np.uint8))
        run(engine, 15)
        engine.steering.unpin([1])
        run(engine, 15)
        return engine.evaluations.bits.tobytes()

    assert steered() == steered()


def test_the_front_under_pins_is_that_of_the_log() -> None:
    engine = make_engine()
    rng = np.random.default_rng(0)
    for _ in range(40):
        engine.steering.pin({int(rng.integers(6)): int(rng.integers(2, 9))})
        for _ in range(3):
            step(engine)
        if rng.random() < 0.5:
            engine.steering.unpin([int(rng.integers(6))])
        assert engine.front.tolist() == front_ids(engine.evaluations, engine.pins).tolist()


def test_undo_brings_every_member_back_and_redo_takes_it_again() -> None:
    engine = run(make_engine(), 40)
    first, second = (one.name for one in engine.species)
    steering = engine.steering

    def members() -> tuple[object, ...]:
        living = [frozenset(map(id, some)) for some in engine.population.members]
        ledger = engine.ledger
        decided = ledger.constraints, ledger.controls, ledger.budget
        waiting = frozenset(map(id, engine.state.queue))
        return (*decided, living, waiting, engine.front.tolist())

    interventions = [
        lambda: steering.pin({1: 3}),
        lambda: steering.constrain({0: 0.5}),
        lambda: steering.reseed(1, "uniform", 0.5),
        lambda: steering.share(second, 0.25),
        lambda: steering.remove_species(first),
        lambda: steering.enqueue(np.full((2, engine.problem.num_nodes), 7, dtype=np.uint8)),
        lambda: steering.aspire({1: (0.0, 0.2)}),
        lambda: steering.set_budget(77),
        lambda: steering.add_species(engine.species[0]),
        lambda: steering.freeze(first, True),
        lambda: steering.unpin([1]),
    ]
    states = [members()]
    for intervene in interventions:
        intervene()
        states.append(members())
    for expected in reversed(states[:-1]):
        steering.undo()
        assert members() == expected
    assert steering.undo() == ""
    for expected in states[1:]:
        steering.redo()
        assert members() == expected
    assert steering.redo() == ""
