"""Whatever is pinned, freed, seeded and told: the front is that of the log under the pins."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nemo_lab.search.archive import Evaluations
from tests.search.test_engine import make_engine

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("tell"), st.integers(1, 9), st.just(0)),
        st.tuples(st.just("pin"), st.integers(0, 5), st.integers(2, 8)),
        st.tuples(st.just("unpin"), st.integers(0, 5), st.just(0)),
        st.tuples(st.just("reseed"), st.integers(0, 1), st.integers(1, 10)),
        st.tuples(st.just("enqueue"), st.integers(2, 8), st.just(0)),
    ),
    max_size=15,
)


def brute_force(log: Evaluations, pins: dict[int, int]) -> list[int]:
    """Config ids by the definition, one pair at a time; of equal vectors the first."""
    rows = [i for i, bits in enumerate(log.bits) if all(bits[n] == w for n, w in pins.items())]
    front = []
    for i in rows:
        one = log.objectives[i]
        beaten = any(
            np.all(log.objectives[j] <= one) and (np.any(log.objectives[j] < one) or j < i)
            for j in rows
            if j != i
        )
        if not beaten:
            front.append(i)
    return front


@settings(max_examples=40)
@given(STEPS, st.integers(0, 100))
def test_front_equals_brute_force_under_any_steering(steps: list[tuple[str, int, int]], seed: int) -> None:
    engine = make_engine(seed)
    pins: dict[int, int] = {}
    for kind, one, two in [("tell", 10, 0), *steps, ("tell", 15, 0)]:
        if kind == "tell":
            for _ in range(one):
                candidate = engine.ask()
                assert candidate is not None
                assert all(candidate.bits[node] == width for node, width in pins.items())
                assert candidate.bits.min() >= 2
                assert candidate.bits.max() <= 8
                engine.tell(candidate, engine.problem.evaluate(candidate.bits[None])[0])
        elif kind == "pin":
            engine.steering.pin({one: two})
            pins[one] = two
        elif kind == "unpin":
            engine.steering.unpin([one])
            pins.pop(one, None)
        elif kind == "reseed":
            engine.steering.reseed(one, "front" if two % 2 else "random", two / 10)
        else:
            engine.steering.enqueue(np.full((1, 6), one, dtype=np.uint8))
        assert engine.pins == pins
        assert engine.front.tolist() == brute_force(engine.evaluations, pins)
    assert len(engine.front) > 0
