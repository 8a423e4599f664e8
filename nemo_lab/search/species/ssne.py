"""Sub-structure neuroevolution of parameter tensors (docs/method.md, section 4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nemo_lab.search.options import SearchOptions
from nemo_lab.search.species.mating import partners

Tensor = NDArray[np.float32]
Parameters = tuple[Tensor, ...]


def crossover(
    parent: Parameters, partner: Parameters, rng: np.random.Generator, options: SearchOptions
) -> Parameters:
    """The parent with rows taken from the partner.

    For each tensor, with probability ``crossover_prob``, a random number of rows (slices along the
    first axis; entries of a vector) comes from the partner. Tensors of any shape take part.
    """
    child = []
    for own, other in zip(parent, partner, strict=True):
        tensor = own.copy()
        if rng.random() < options.crossover_prob:
            rows = _rows(tensor)
            count = int(rng.integers(1, len(rows) + 1))
            picked = rng.choice(len(rows), size=count, replace=False)
            rows[picked] = _rows(other)[picked]
        child.append(tensor)
    return tuple(child)


def mutate(parameters: Parameters, rng: np.random.Generator, options: SearchOptions) -> Parameters:
    """Perturb a small random fraction of the entries of each tensor.

    With probability ``mutation_prob`` per tensor. An entry w gets Gaussian noise of deviation
    strength * max(abs(w), floor), rarely ``super_strength`` instead of ``mutation_strength``, or is
    rarely drawn anew with the deviation of its tensor.
    """
    mutated = []
    for own in parameters:
        tensor = own.copy()
        if rng.random() < options.mutation_prob:
            entries = tensor.reshape(-1)
            count = max(1, round(options.mutation_fraction * entries.size))
            picked = rng.choice(entries.size, size=count, replace=False)
            scale = _root_mean_square(tensor)
            kind = rng.random(count)
            strong = kind < options.super_prob
            reset = ~strong & (kind < options.super_prob + options.reset_prob)
            strength = np.where(strong, options.super_strength, options.mutation_strength)
            noise = rng.standard_normal(count)
            size = np.maximum(np.abs(entries[picked]), options.noise_floor * scale)
            perturbed = entries[picked] + noise * strength * size
            entries[picked] = np.clip(np.where(reset, noise * scale, perturbed), -1e3, 1e3)
        mutated.append(tensor)
    return tuple(mutated)


def offspring(
    parents: Sequence[Parameters], count: int, rng: np.random.Generator, options: SearchOptions
) -> list[Parameters]:
    """Children: crossover of two parents, then mutation."""
    children = []
    for _ in range(count):
        first, second = partners(len(parents), rng, options.mating)
        child = crossover(parents[first], parents[second], rng, options)
        children.append(mutate(child, rng, options))
    return children


def _rows(tensor: Tensor) -> Tensor:
    """A view whose first axis runs over the tensor's sub-structures.

    A tensor such as GAT's attention, float[1, heads, channels], has one row only along its first
    axis, so its leading axes of length one are left out.
    """
    view = tensor.reshape(-1) if tensor.ndim == 0 else tensor
    while view.ndim > 1 and view.shape[0] == 1:
        view = view[0]
    return view


def _root_mean_square(tensor: Tensor) -> float:
    """Of the entries; for an all-zero tensor, what an initialisation by fan-in would have."""
    rms = float(np.sqrt(np.mean(np.square(tensor, dtype=np.float64))))
    return rms if rms > 0 else 1.0 / np.sqrt(tensor.shape[-1] if tensor.ndim else 1)
