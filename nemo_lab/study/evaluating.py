"""Calling a problem's evaluator, several times at once where there are workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from nemo_lab.search import Problem
from nemo_lab.search.problem import evaluate_one
from nemo_lab.search.species import Bits


def evaluate_all(problem: Problem, rows: Sequence[Bits]) -> Iterator[NDArray[np.float64]]:
    """Objectives of every configuration in its turn, all at once in threads where there is more than one."""
    if len(rows) == 1:
        yield evaluate_one(problem, rows[0])
        return
    with ThreadPoolExecutor(len(rows), thread_name_prefix="nemo_lab evaluator") as pool:
        yield from pool.map(partial(evaluate_one, problem), rows)
