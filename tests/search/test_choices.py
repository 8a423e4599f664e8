"""Nodes whose widths differ: none is ever evaluated that a node may not take, and no node is stuck."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_lab import create_study, load_study
from nemo_lab.choices import Ladder, choices, ends, fit, nearest
from nemo_lab.errors import BitWidthError, ContractError, NemoWarning, StorageError
from nemo_lab.search import SearchOptions
from nemo_lab.search.engine import Engine
from nemo_lab.search.species import make_species
from nemo_lab.testing import check_problem
from tests.search.shapes import OfKinds
from tests.toy import ToyProblem

NODES, WIDTHS = 6, (2, 3, 4, 8, 16)
MASKS = st.lists(
    st.lists(st.booleans(), min_size=5, max_size=5).filter(any), min_size=NODES, max_size=NODES
).map(np.array)


def within(bits: np.ndarray, problem: Any) -> bool:
    own = [set(np.array(problem.bit_widths)[row]) for row in choices(problem)]
    return all(width in own[node] for row in np.atleast_2d(bits) for node, width in enumerate(row))


@given(MASKS, st.lists(st.sampled_from(WIDTHS), min_size=NODES, max_size=NODES))
def test_the_nearest_width_by_definition(mask: np.ndarray, row: list[int]) -> None:
    own = [[width for width, may in zip(WIDTHS, line, strict=True) if may] for line in mask]
    expected = [min(o, key=lambda w: (abs(w - b), -w)) for o, b in zip(own, row, strict=True)]
    bits = np.array(row, dtype=np.uint8)
    assert fit(bits, mask, WIDTHS).tolist() == expected
    assert fit(np.stack([bits, bits]), mask, WIDTHS).tolist() == [expected, expected]
    assert np.take_along_axis(mask, nearest(mask, WIDTHS), axis=1).all()
    problem: Any = ToyProblem(NODES, WIDTHS)
    problem.allowed = mask
    ladder = Ladder(problem)
    assert ladder.bits(ladder.levels(bits)).tolist() == expected
    assert ends(problem).tolist() == [[min(o) for o in own], [max(o) for o in own]]
    places = np.searchsorted(WIDTHS, bits)
    floor = [max([w for w in o if w <= b] or [o[0]]) for o, b in zip(own, row, strict=True)]
    assert ladder.bits(ladder.below(places)).tolist() == floor
    for node, steps in enumerate(own):  # a step up or down is to the next that the node may take
        assert [int(ladder.bits(np.full(NODES, level))[node]) for level in range(len(steps))] == steps


def test_it_is_a_sound_problem() -> None:
    check_problem(OfKinds())


@pytest.mark.parametrize("species", ["continuous", "floor", "gcn", "integer", "surrogate"])
@pytest.mark.parametrize("options", [{}, {"uniform": True, "start": "random", "lift": False}])
def test_candidates_keep_to_them_under_pins(species: str, options: dict[str, Any]) -> None:
    problem = OfKinds()
    made = SearchOptions(population=8, min_size=2, imitation_steps=20, surrogate_pool=4, **options)
    engine = Engine(problem, make_species([species], problem, made), made, 3)
    seen = []
    for turn in range(60):
        if turn == 20:
            engine.steering.pin({0: (3, 8), 1: 4})
        if turn == 30:
            engine.steering.reseed(0, "front", 0.5)
        if turn == 40:
            engine.steering.unpin([0, 1])
            engine.steering.reseed(0, "uniform", 0.5)
        candidate = engine.ask()
        if candidate is None:
            break
        assert within(candidate.bits, problem)
        if 20 <= turn < 40:
            assert candidate.bits[1] == 4
            assert 3 <= candidate.bits[0] <= 8
        seen.append(candidate.bits)
        engine.tell(candidate, problem.evaluate(candidate.bits[None])[0])
    levels = [set(np.array(seen)[:, node].tolist()) for node in range(NODES)]
    assert all(len(own) >= 2 for own in levels), levels  # none is stuck


def test_a_small_space_is_gone_through_to_its_end() -> None:
    problem: Any = ToyProblem(2, (2, 4, 8))
    problem.allowed = np.array([[True, True, False], [False, True, True]])
    study = create_study(problem, seed=0, population=4, min_size=2)
    with pytest.warns(NemoWarning, match="nothing left"):
        study.optimize(50, progress=False)
    found = {tuple(row) for row in study.snapshot.evaluations.bits.tolist()}
    assert found == set(itertools.product((2, 4), (4, 8)))


def test_what_people_ask_for_is_refused_by_name(tmp_path: Path) -> None:
    problem = OfKinds()
    study = create_study(problem, seed=0, population=8, min_size=2)
    first, second = problem.node_names[:2]
    for ask in (
        lambda: study.pin(second, 16),
        lambda: study.pin(second, (8, 16)),
        lambda: study.pin({first: 8, second: 8}),
        lambda: study.what_if(2),
        lambda: study.enqueue([[8, 8, 8, 4, 8, 4]]),
    ):
        with pytest.raises(BitWidthError, match=r"may not have .* bits; choose from"):
            ask()
    assert not study.pins
    assert study.what_if(4).notna().all()
    study.pin(second, (3, 16))  # which leaves it two
    study.optimize(30, progress=False)
    assert set(study.snapshot.evaluations.bits[:, 1].tolist()) <= {3, 4}


def test_a_journal_keeps_them(tmp_path: Path) -> None:
    path, settings = tmp_path / "run.sqlite", {"seed": 1, "population": 8, "min_size": 2}
    study = create_study(OfKinds(), storage=path, **settings)
    study.optimize(20, progress=False)
    study.close()
    shown = load_study(path, read_only=True)
    assert np.array_equal(shown.problem.allowed, OfKinds().allowed)
    shown.close()
    other = OfKinds()
    other.allowed = np.ones_like(other.allowed)
    with pytest.raises(StorageError, match="workload"):
        load_study(path, problem=other)
    again = load_study(path, problem=OfKinds())
    again.optimize(until=40, progress=False)
    whole = create_study(OfKinds(), **settings)
    whole.optimize(40, progress=False)
    assert np.array_equal(again.snapshot.evaluations.bits, whole.snapshot.evaluations.bits)
    again.close()


@pytest.mark.parametrize(
    ("allowed", "words"),
    [
        (np.ones((6, 4), dtype=bool), "shape"),
        (np.ones((6, 5)), "type float64"),
        (np.arange(30).reshape(6, 5) > 4, "node 0 may take no width"),
        (np.arange(30).reshape(6, 5) % 5 < 4, "the width 16 is for no node"),
        ("all", "allowed"),
    ],
)
def test_a_mask_that_cannot_be_is_refused(allowed: Any, words: str) -> None:
    problem = OfKinds()
    problem.allowed = allowed
    with pytest.raises(ContractError, match=words):
        create_study(problem)
