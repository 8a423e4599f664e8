"""Configurations that nobody has evaluated, for small spaces in which species find nothing new."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nemo_lab.search.constraints import Constraints
from nemo_lab.search.problem import Problem

Bits = NDArray[np.uint8]
ENUMERABLE = 100_000


def unevaluated(
    problem: Problem, constraints: Constraints, known: Callable[[Bits], bool], rng: np.random.Generator
) -> Bits | None:
    """A configuration uint8[Q] under the pins that is not ``known``, None if there is none left."""
    allowed = constraints.allowed(problem)
    widths = np.asarray(problem.bit_widths, dtype=np.uint8)
    choices = [widths[row] for row in allowed]
    for _ in range(64):
        bits = np.array([rng.choice(choice) for choice in choices], dtype=np.uint8)
        if not known(bits):
            return bits
    if math.prod(len(choice) for choice in choices) > ENUMERABLE:
        return None
    every = (np.array(row, dtype=np.uint8) for row in itertools.product(*choices))
    return next((bits for bits in every if not known(bits)), None)
