"""The log of evaluations and the front that follows it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_lab.search.archive import EvaluationLog, ParetoFront, front_ids
from nemo_lab.search.constraints import Constraints


def fill(log: EvaluationLog, bits: list[int], objectives: list[float]) -> int:
    return log.append(bits=bits, objectives=objectives, species=0, origin=1, generation=2)


def test_views_are_read_only_and_never_change() -> None:
    log = EvaluationLog(2, 2)
    fill(log, [2, 3], [0.5, 0.5])
    early = log.view()
    for i in range(1000):  # beyond the first allocation
        assert fill(log, [4, 5], [float(i), 0.0]) == i + 1
    assert len(early) == 1
    assert early.bits.tolist() == [[2, 3]]
    late = log.view()
    assert len(late) == len(log) == 1001
    assert late.bits[0].tolist() == [2, 3]
    assert late.objectives[:, 0].tolist() == [0.5, *range(1000)]
    assert (late.species[3], late.origin[3], late.generation[3]) == (0, 1, 2)
    with pytest.raises(ValueError, match="read-only"):
        late.objectives[0, 0] = 0


def test_satisfying_reads_every_pin() -> None:
    log = EvaluationLog(3, 1)
    for bits in ([2, 4, 8], [2, 5, 8], [3, 4, 8]):
        fill(log, bits, [0.0])
    assert log.view().satisfying({}).tolist() == [True, True, True]
    assert log.view().satisfying({0: 2}).tolist() == [True, True, False]
    assert log.view().satisfying({0: 2, 1: 4}).tolist() == [True, False, False]
    assert log.view().satisfying({2: 7}).tolist() == [False, False, False]


@given(st.lists(st.tuples(st.integers(2, 3), *[st.integers(0, 3)] * 3), max_size=40))
def test_the_front_grows_as_if_rebuilt(rows: list[tuple[int, int, int, int]]) -> None:
    log, front = EvaluationLog(1, 3), ParetoFront()
    for width, *objectives in rows:
        config = fill(log, [width], [float(value) for value in objectives])
        entered = front.add(config, log.view(), Constraints())
        assert front.ids.tolist() == front_ids(log.view(), {}).tolist()
        assert entered == (config in front.ids)
    front.rebuild(log.view(), Constraints(pins={0: 2}))
    feasible = [i for i, row in enumerate(rows) if row[0] == 2]
    assert front.ids.tolist() == front_ids(log.view(), {0: 2}).tolist()
    assert set(front.ids.tolist()) <= set(feasible)
    assert (len(front.ids) > 0) == (len(feasible) > 0)
