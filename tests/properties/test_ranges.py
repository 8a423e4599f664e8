"""Whatever is pinned, exactly or to a range: it holds from then on, and the front is the one under it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nemo_lab.search import Engine, SearchOptions
from nemo_lab.search.archive import ORIGINS, Evaluations
from nemo_lab.search.constraints import Constraints, Pins, Width
from nemo_lab.search.presets import PRESETS
from nemo_lab.search.species import NAMES, make_species
from tests.search.test_engine import make_engine
from tests.toy import ToyProblem

WIDTHS = (2, 3, 4, 6, 8)
WIDTH = st.sampled_from(WIDTHS)
RANGE = st.tuples(WIDTH, WIDTH).map(lambda ends: (min(ends), max(ends))).filter(lambda ends: ends != (2, 8))
PINS = st.dictionaries(st.integers(0, 5), st.one_of(WIDTH, RANGE), max_size=3)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("tell"), st.integers(1, 9)),
        st.tuples(st.just("pin"), PINS),
        st.tuples(st.just("unpin"), st.integers(0, 5)),
        st.tuples(st.just("enqueue"), WIDTH),
        st.tuples(st.just("undo"), st.none()),
    ),
    max_size=12,
)


def may(width: int, pin: Width) -> bool:
    return pin[0] <= width <= pin[1] if isinstance(pin, tuple) else width == pin


def holds(bits: np.ndarray, pins: Pins) -> bool:
    return all(may(int(bits[node]), pin) for node, pin in pins.items())


def plain(pins: Pins) -> dict[int, Width]:
    """A range of one width is that width."""
    return {n: pin[0] if isinstance(pin, tuple) and pin[0] == pin[1] else pin for n, pin in pins.items()}


def nearest(bits: np.ndarray, pins: Pins) -> list[int]:
    """By the definition: of the widths that a node may have, the one that differs least."""
    return [
        min((w for w in WIDTHS if n not in pins or may(w, pins[n])), key=lambda w: abs(w - int(b)))
        for n, b in enumerate(bits)
    ]


def brute_force(log: Evaluations, pins: Pins) -> list[int]:
    rows = [i for i, bits in enumerate(log.bits) if holds(bits, pins)]
    vectors = {i: log.objectives[i] for i in rows}

    def beats(j: int, i: int) -> bool:
        no_worse = bool((vectors[j] <= vectors[i]).all())
        return no_worse and (bool((vectors[j] < vectors[i]).any()) or j < i)

    return [i for i in rows if not any(beats(j, i) for j in rows)]


def engine_of(species: Any, seed: int, preset: str) -> Engine:
    problem = ToyProblem(6, WIDTHS)
    options = SearchOptions(**{**PRESETS[preset].options, "population": 10, "min_size": 2})
    return Engine(problem, make_species(species, problem, options), options, seed)


def tell(engine: Engine) -> np.ndarray | None:
    candidate = engine.ask()
    if candidate is None:
        assert engine.exhausted
        return None
    engine.tell(candidate, engine.problem.evaluate(candidate.bits[None])[0])
    return candidate.bits


@settings(max_examples=40)
@given(STEPS, st.integers(0, 50), st.sampled_from(sorted(PRESETS)))
def test_the_front_under_ranges_equals_brute_force(
    steps: list[tuple[str, Any]], seed: int, preset: str
) -> None:
    engine = engine_of(("continuous", "floor"), seed, preset)
    before: list[dict[int, Width]] = []
    pins: dict[int, Width] = {}
    for kind, value in [("tell", 8), *steps, ("tell", 12)]:
        if kind == "tell":
            for _ in range(value):
                bits = tell(engine)
                if bits is None:
                    break
                assert holds(bits, pins)
                assert set(bits.tolist()) <= set(WIDTHS)
        elif kind == "undo":
            if not before:
                continue
            engine.steering.undo()
            pins = before.pop()
        else:
            before.append(pins)
            if kind == "pin":
                engine.steering.pin(value)
                pins = {**pins, **plain(value)}
            elif kind == "unpin":
                engine.steering.unpin([value])
                pins = {node: pin for node, pin in pins.items() if node != value}
            else:
                engine.steering.enqueue(np.full((1, 6), value, dtype=np.uint8))
        assert engine.pins == pins
        assert engine.front.tolist() == brute_force(engine.evaluations, pins)
    assert len(engine.front) > 0


@settings(max_examples=60)
@given(PINS, PINS, st.integers(0, 20))
def test_projected_members_hold_the_nearest_width_and_differ_nowhere_else(
    first: Pins, second: Pins, seed: int
) -> None:
    engine = make_engine_on(WIDTHS, seed)
    engine.steering.pin(first)
    for _ in range(20):
        if tell(engine) is None:
            break
    sources = engine.evaluations.bits[engine.front]
    done = len(engine.evaluations)
    known = {row.tobytes() for row in engine.evaluations.bits}
    pins = plain(second)
    wanted = {np.array(nearest(row, pins), dtype=np.uint8).tobytes() for row in sources} - known
    assert engine.steering.pin(second) == engine.waiting == len(wanted)
    for _ in range(engine.waiting):
        tell(engine)
    log = engine.evaluations
    assert {row.tobytes() for row in log.bits[done:]} == wanted
    assert set(log.origin[done:].tolist()) <= {ORIGINS.index("projected")}
    for row in log.bits[done:]:
        assert any(set(np.flatnonzero(row != source)) <= set(pins) for source in sources)


def make_engine_on(widths: tuple[int, ...], seed: int) -> Engine:
    problem, options = ToyProblem(6, widths), SearchOptions(population=12, min_size=2)
    return Engine(problem, make_species(("continuous", "floor"), problem, options), options, seed)


@pytest.mark.parametrize("preset", sorted(PRESETS))
@pytest.mark.parametrize("species", NAMES)
def test_no_species_breaks_a_pin(species: str, preset: str) -> None:
    engine = engine_of((species,), 3, preset)
    rng = np.random.default_rng(1)
    for _ in range(25):
        tell(engine)
    for _ in range(4):
        low, high = sorted(int(w) for w in rng.choice(WIDTHS[:4], 2))
        engine.steering.pin(
            {int(rng.integers(6)): (low, high), int(rng.integers(6)): int(rng.choice(WIDTHS))}
        )
        for _ in range(12):
            bits = tell(engine)
            assert bits is not None
            assert holds(bits, engine.pins), f"{species} made {bits} under {engine.pins}"
            assert set(bits.tolist()) <= set(WIDTHS)


@given(PINS, PINS)
def test_allowed_apply_and_pinned_agree(first: Pins, second: Pins) -> None:
    rules = Constraints().holding(first).holding(second)
    assert rules.held == plain({**first, **second})
    assert not set(rules.pins) & set(rules.ranges)
    allowed = rules.allowed(ToyProblem(6, WIDTHS))
    for node in range(6):
        for place, width in enumerate(WIDTHS):
            bits = np.full((1, 6), width, dtype=np.uint8)
            done = rules.apply(bits[0].copy(), ToyProblem(6, WIDTHS))
            assert done.tolist() == nearest(bits[0], rules.held)
            assert allowed[node, place] == (done[node] == width)
            assert rules.pinned(bits)[0] == allowed[:, place].all()
            assert rules.pinned(done[None])[0]
            assert rules.penalty(done[None], np.zeros((1, 3)))[0] == 0
    assert rules.freeing(range(6)) == Constraints()


def test_a_small_space_is_searched_to_its_end_under_a_range() -> None:
    problem, options = ToyProblem(2, (2, 4, 8)), SearchOptions(population=4, min_size=2, dedupe=True)
    engine = Engine(problem, make_species(("integer",), problem, options), options, 0)
    engine.steering.pin({0: (2, 4), 1: (4, 8)})
    while tell(engine) is not None:
        pass
    found = {tuple(row) for row in engine.evaluations.bits.tolist()}
    assert found == {(a, b) for a in (2, 4) for b in (4, 8)}
    engine.steering.unpin([0])
    while tell(engine) is not None:
        pass
    assert len(engine.evaluations) == 6


def test_the_engine_refuses_a_range_that_pins_nothing() -> None:
    engine = make_engine()
    with pytest.raises(ValueError, match="2 to 8 has every bit-width, so it pins nothing"):
        engine.steering.pin({0: 4, 1: (2, 8)})
    assert engine.pins == {}
    assert engine.ledger.done == ()
