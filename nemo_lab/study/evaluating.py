"""Calling a problem's evaluator: checked, and several at once where there are workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from nemo_lab.search import Problem
from nemo_lab.search.problem import checked_objectives
from nemo_lab.search.species import Bits


def evaluate_one(problem: Problem, bits: Bits) -> NDArray[np.float64]:
    """Objectives float64[K] of uint8[Q]; the evaluator may write into what it is given."""
    objectives: NDArray[np.float64] = checked_objectives(problem, problem.evaluate(bits[None].copy()))[0]
    return objectives


def evaluate_all(problem: Problem, rows: Sequence[Bits]) -> Iterator[NDArray[np.float64]]:
    """Objectives of every configuration in its turn, all at once in threads where there is more than one."""
    if len(rows) == 1:
        yield evaluate_one(problem, rows[0])
        return
    with ThreadPoolExecutor(len(rows), thread_name_prefix="nemo_lab evaluator") as pool:
        yield from pool.map(partial(evaluate_one, problem), rows)
