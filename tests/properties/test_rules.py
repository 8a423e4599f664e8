"""Whatever is pinned, limited, wished for and told: the front is the one that the rules define."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nemo_lab.search.archive import ORIGINS, Evaluations
from nemo_lab.search.constraints import Constraints
from tests.search.test_engine import make_engine

LIMITS = st.dictionaries(st.integers(0, 2), st.integers(-1, 5).map(lambda i: i / 4), max_size=3)
INTERVAL = st.tuples(st.integers(0, 2), st.integers(3, 5)).map(lambda ends: (ends[0] / 4, ends[1] / 4))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("tell"), st.integers(1, 9)),
        st.tuples(st.just("pin"), st.dictionaries(st.integers(0, 5), st.integers(2, 8), max_size=2)),
        st.tuples(st.just("unpin"), st.integers(0, 5)),
        st.tuples(st.just("constrain"), LIMITS),
        st.tuples(st.just("aspire"), st.dictionaries(st.integers(0, 2), INTERVAL, max_size=3)),
        st.tuples(st.just("enqueue"), st.integers(2, 8)),
        st.tuples(st.just("reseed"), st.tuples(st.integers(0, 1), st.sampled_from([0.1, 0.5, 1.0]))),
    ),
    max_size=14,
)


def excess(objectives: np.ndarray, limits: dict[int, float]) -> float:
    return sum(max(float(objectives[k]) - limit, 0.0) for k, limit in limits.items())


def brute_force(log: Evaluations, pins: dict[int, int], limits: dict[int, float]) -> list[int]:
    """As pinned; of these the least beyond the limits; of these nobody beaten, of equal ones the first."""
    rows = [i for i, bits in enumerate(log.bits) if all(bits[n] == w for n, w in pins.items())]
    beyond = {i: excess(log.objectives[i], limits) for i in rows}
    rows = [i for i in rows if beyond[i] == min(beyond.values())]
    vectors = {i: tuple(log.objectives[i].tolist()) for i in rows}

    def beats(j: int, i: int) -> bool:
        no_worse = all(a <= b for a, b in zip(vectors[j], vectors[i], strict=True))
        return no_worse and (vectors[j] != vectors[i] or j < i)

    return [i for i in rows if not any(beats(j, i) for j in rows)]


def coarse(bits: np.ndarray) -> np.ndarray:
    """Objectives in quarters: equal ones, equal excesses and exact hits of limits are common."""
    b = bits.astype(np.float64)
    return np.array([np.round(8 - b.mean()), np.round(b[:3].mean()), np.round(b[2:].mean() / 2) * 2]) / 8


def steer(engine: Any, kind: str, value: Any, pins: dict[int, int], limits: dict[int, float]) -> None:
    """Do it to the engine, and to the plain dictionaries."""
    if kind == "pin":
        engine.steering.pin(value)
        pins.update(value)
    elif kind == "unpin":
        engine.steering.unpin([value])
        pins.pop(value, None)
    elif kind == "constrain":
        engine.steering.constrain(value)
        limits.clear()
        limits.update(value)
    elif kind == "aspire":
        engine.steering.aspire(value)
    elif kind == "enqueue":
        engine.steering.enqueue(np.full((1, 6), value, dtype=np.uint8))
    else:
        engine.steering.reseed(value[0], "front", value[1])


@settings(max_examples=50)
@given(STEPS, st.integers(0, 50), st.booleans(), st.booleans())
def test_the_front_is_as_the_rules_define_it(
    steps: list[tuple[str, Any]], seed: int, modern: bool, quarters: bool
) -> None:
    options: dict[str, Any] = {"dedupe": True, "utility": "hypervolume", "mating": "tournament", "lift": True}
    engine = make_engine(seed, **(options if modern else {}))
    pins: dict[int, int] = {}
    limits: dict[int, float] = {}
    for kind, value in [("tell", 8), *steps, ("tell", 14)]:
        before = set(engine.front.tolist()), dict(pins), dict(limits)
        if kind != "tell":
            steer(engine, kind, value, pins, limits)
        for _ in range(value if kind == "tell" else 0):
            candidate = engine.ask()
            if candidate is None:
                assert engine.exhausted
                break
            assert all(candidate.bits[n] == w for n, w in pins.items())
            plain = engine.problem.evaluate(candidate.bits[None])[0]
            engine.tell(candidate, coarse(candidate.bits) if quarters else plain)
            assert engine.front.tolist() == brute_force(engine.evaluations, pins, limits)
        assert engine.front.tolist() == brute_force(engine.evaluations, pins, limits)
        if kind in ("aspire", "enqueue", "reseed"):
            assert (set(engine.front.tolist()), pins, limits) == before, "the front is not theirs to change"
        assert 0 <= engine.hypervolume() <= 1 + 1e-12
    assert len(engine.front) > 0
    log = engine.evaluations
    searched = log.bits[log.origin != ORIGINS.index("enqueued")]
    assert not modern or len(np.unique(searched, axis=0)) == len(searched), "searched twice"


@given(LIMITS, st.dictionaries(st.integers(0, 2), INTERVAL, max_size=3), st.integers(0, 99))
def test_penalties_rank_pins_before_limits_before_wishes(
    limits: dict[int, float], box: dict[int, tuple[float, float]], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rules = Constraints({0: 2}, limits, box)
    bits = rng.integers(2, 4, (30, 2)).astype(np.uint8)
    objectives = rng.integers(0, 5, (30, 3)) / 4
    penalty = rules.penalty(bits, objectives)

    def rank(i: int) -> tuple[bool, float, float]:
        outside = excess(objectives[i], {k: high for k, (_, high) in box.items()})
        return bool(bits[i, 0] != 2), excess(objectives[i], limits), outside

    for i in range(30):
        assert (penalty[i] == 0) == (rank(i) == (False, 0.0, 0.0))
        for j in range(30):
            assert (penalty[i] < penalty[j]) == (rank(i) < rank(j))


@given(LIMITS, st.dictionaries(st.integers(0, 2), INTERVAL, max_size=3))
def test_the_box_lies_in_the_bounds(
    limits: dict[int, float], aspiration: dict[int, tuple[float, float]]
) -> None:
    bounds = np.array([[0.0, 0.1, 0.2], [1.0, 0.9, 0.8]])
    box = Constraints({}, limits, aspiration).box(bounds)
    assert (box[0] >= bounds[0]).all()
    assert (box[0] <= box[1]).all()
    assert (box[1] <= bounds[1]).all()
    for k in range(3):
        if k not in limits and k not in aspiration:
            assert box[:, k].tolist() == bounds[:, k].tolist()
