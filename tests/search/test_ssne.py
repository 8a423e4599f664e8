"""Sub-structure neuroevolution on parameter tensors of every shape."""

from __future__ import annotations

import numpy as np
import pytest

from nemo_lab.search.options import SearchOptions
from nemo_lab.search.species import ssne

SHAPES = [(), (1,), (7,), (5, 4), (1, 2, 6), (1, 1, 8), (3, 2, 2, 2)]
ALWAYS = SearchOptions(crossover_prob=1.0, mutation_prob=1.0)


def tensors(seed: int, shapes: list[tuple[int, ...]] = SHAPES) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    return tuple(np.asarray(rng.standard_normal(shape), dtype=np.float32) for shape in shapes)


def test_every_shape_mutates_and_parents_stay() -> None:
    parent, before = tensors(0), tensors(0)
    for seed in range(20):
        child = ssne.mutate(parent, np.random.default_rng(seed), ALWAYS)
        for own, old, kept in zip(child, parent, before, strict=True):
            assert own.shape == old.shape
            assert own.dtype == np.float32
            assert not np.array_equal(own, old)
            assert np.array_equal(old, kept)
            assert not np.shares_memory(own, old)


def test_every_shape_crosses_over_by_rows() -> None:
    parent, partner = tensors(0), tensors(1)
    mixed: set[tuple[int, ...]] = set()
    for seed in range(40):
        child = ssne.crossover(parent, partner, np.random.default_rng(seed), ALWAYS)
        for own, first, second in zip(child, parent, partner, strict=True):
            assert np.all((own == first) | (own == second))
            assert np.any(own == second)
            if np.any(own != second):
                mixed.add(own.shape)
    assert mixed == {shape for shape in SHAPES if np.prod(shape) > 1}, "these have sub-structures"
    for tensor, kept in zip((*parent, *partner), (*tensors(0), *tensors(1)), strict=True):
        assert np.array_equal(tensor, kept)


def test_a_matrix_exchanges_whole_rows() -> None:
    parent, partner = (np.zeros((6, 3), dtype=np.float32),), (np.ones((6, 3), dtype=np.float32),)
    counts = set()
    for seed in range(100):
        (child,) = ssne.crossover(parent, partner, np.random.default_rng(seed), ALWAYS)
        assert np.all(child == child[:, :1])
        counts.add(int(child[:, 0].sum()))
    assert counts == {1, 2, 3, 4, 5, 6}


def test_attention_exchanges_heads() -> None:
    parent, partner = (np.zeros((1, 4, 5), dtype=np.float32),), (np.ones((1, 4, 5), dtype=np.float32),)
    (child,) = ssne.crossover(parent, partner, np.random.default_rng(1), ALWAYS)
    assert np.all(child[0] == child[0, :, :1])


@pytest.mark.parametrize("fraction", [0.01, 0.05, 0.5])
def test_the_share_of_touched_entries(fraction: float) -> None:
    options = SearchOptions(mutation_prob=1.0, mutation_fraction=fraction)
    (child,) = ssne.mutate((np.ones((50, 40), dtype=np.float32),), np.random.default_rng(0), options)
    assert np.count_nonzero(child != 1) == round(fraction * 2000)


def test_zero_weights_move() -> None:
    for shape in SHAPES:
        (child,) = ssne.mutate((np.zeros(shape, dtype=np.float32),), np.random.default_rng(3), ALWAYS)
        assert np.count_nonzero(child) >= 1
    half = np.zeros(1000, dtype=np.float32)
    half[:500] = 1.0
    options = SearchOptions(mutation_prob=1.0, mutation_fraction=1.0)
    (child,) = ssne.mutate((half,), np.random.default_rng(3), options)
    assert np.count_nonzero(child[500:]) == 500


def test_noise_is_proportional_to_the_weight() -> None:
    options = SearchOptions(
        mutation_prob=1.0, mutation_fraction=1.0, super_prob=0.0, reset_prob=0.0, noise_floor=0.0
    )
    own = np.repeat(np.array([0.01, 1.0], dtype=np.float32), 20_000)
    (child,) = ssne.mutate((own,), np.random.default_rng(0), options)
    small, large = (child - own)[:20_000], (child - own)[20_000:]
    assert small.std() == pytest.approx(0.1 * 0.01, rel=0.05)
    assert large.std() == pytest.approx(0.1 * 1.0, rel=0.05)


def test_strong_noise_and_resets_are_as_rare_as_said() -> None:
    own = (np.full(40_000, 1.0, dtype=np.float32),)
    mostly = SearchOptions(
        mutation_prob=1.0, mutation_fraction=1.0, mutation_strength=1e-4, super_strength=1e2, reset_prob=0.0
    )
    (child,) = ssne.mutate(own, np.random.default_rng(0), mostly)
    assert np.mean(np.abs(child - 1) > 1e-2) == pytest.approx(0.05, abs=0.005)
    resets = SearchOptions(
        mutation_prob=1.0, mutation_fraction=1.0, mutation_strength=1e-4, super_prob=0.0, reset_prob=0.02
    )
    (child,) = ssne.mutate(own, np.random.default_rng(0), resets)
    assert np.mean(np.abs(child - 1) > 1e-2) == pytest.approx(0.02, abs=0.003)


def test_probabilities_of_zero_leave_everything() -> None:
    options = SearchOptions(crossover_prob=0.0, mutation_prob=0.0)
    parents = [tensors(0), tensors(1)]
    for child in ssne.offspring(parents, 5, np.random.default_rng(0), options):
        assert any(
            all(np.array_equal(a, b) for a, b in zip(child, parent, strict=True)) for parent in parents
        )


def test_offspring_of_one_parent() -> None:
    children = ssne.offspring([tensors(0)], 3, np.random.default_rng(0), ALWAYS)
    assert len(children) == 3
    assert not np.array_equal(children[0][3], children[1][3])
