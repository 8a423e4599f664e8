"""The species of real genomes: decoding by hand, bounded variation, imitation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemo_lab.search.options import SearchOptions
from nemo_lab.search.species.real import ContinuousSpecies, FloorSpecies
from tests.toy import ToyProblem

CLASSES = [ContinuousSpecies, FloorSpecies]
ALL = (2, 3, 4, 5, 6, 7, 8)


def make(kind: Any, widths: tuple[int, ...] = ALL, nodes: int = 6) -> Any:
    return kind(ToyProblem(nodes, widths), SearchOptions())


@pytest.mark.parametrize(
    ("kind", "widths", "genome", "expected"),
    [
        (ContinuousSpecies, ALL, [2.0, 2.49, 2.5, 5.51, 7.49, 8.0], [2, 2, 3, 6, 7, 8]),
        (ContinuousSpecies, (2, 4, 8), [2.0, 2.99, 3.01, 5.99, 6.01, 8.0], [2, 2, 4, 4, 8, 8]),
        (FloorSpecies, ALL, [2.0, 2.99, 3.0, 5.51, 7.99, 8.0], [2, 2, 3, 5, 7, 8]),
        (FloorSpecies, (2, 4, 8), [2.0, 3.99, 4.0, 7.99, 8.0, 6.0], [2, 2, 4, 4, 8, 4]),
        (FloorSpecies, (4,), [4.0] * 6, [4] * 6),
        (ContinuousSpecies, (4,), [4.0] * 6, [4] * 6),
    ],
)
def test_decoding_by_hand(kind: Any, widths: Any, genome: list[float], expected: list[int]) -> None:
    bits = make(kind, widths).decode(np.array(genome))
    assert bits.dtype == np.uint8
    assert bits.tolist() == expected


@pytest.mark.parametrize("kind", CLASSES)
@given(
    widths=st.sets(st.integers(2, 16), min_size=1, max_size=6).map(lambda s: tuple(sorted(s))),
    seed=st.integers(0, 10**6),
)
def test_imitation_decodes_to_its_source(kind: Any, widths: tuple[int, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    species = make(kind, widths)
    bits = rng.choice(widths, size=(5, 6)).astype(np.uint8)
    genomes = species.imitate(bits, rng)
    assert np.array_equal([species.decode(genome) for genome in genomes], bits)
    assert all(np.all((genome >= widths[0]) & (genome <= widths[-1])) for genome in genomes)


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("widths", [ALL, (2, 4, 8)])
@pytest.mark.parametrize(("parents", "count"), [(12, 12), (5, 7), (2, 1), (1, 4)])
def test_children_stay_in_bounds_and_parents_stay(
    kind: Any, widths: tuple[int, ...], parents: int, count: int
) -> None:
    species = make(kind, widths)
    rng = np.random.default_rng(0)
    for _ in range(20):
        members = species.initial(parents, rng)
        before = [member.copy() for member in members]
        children = species.offspring(members, count, rng)
        assert len(children) == count
        for child in children:
            assert child.shape == (6,)
            assert np.all((child >= widths[0]) & (child <= widths[-1]))
            assert set(species.decode(child).tolist()) <= set(widths)
        assert all(np.array_equal(a, b) for a, b in zip(members, before, strict=True))


def test_children_vary_and_inherit() -> None:
    species = make(ContinuousSpecies, nodes=50)
    rng = np.random.default_rng(0)
    low, high = np.full(50, 3.0), np.full(50, 7.0)
    children = np.array(species.offspring([low, high], 200, rng))
    assert len(np.unique(children, axis=0)) == 200
    near = (np.abs(children - 3) < 0.5) | (np.abs(children - 7) < 0.5)
    assert near.mean() > 0.8  # SBX with a large index keeps children near their parents
    assert near.mean() < 1.0


def test_initial_members_fill_the_box() -> None:
    members = np.array(make(FloorSpecies).initial(500, np.random.default_rng(0)))
    assert members.shape == (500, 6)
    assert members.min() >= 2
    assert members.max() <= 8
    assert members.mean() == pytest.approx(5, abs=0.1)
