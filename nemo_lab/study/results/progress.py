"""How far a search got after how many evaluations."""

from __future__ import annotations

import pandas as pd

from nemo_lab.search import Constraints, Evaluations, Problem, SearchOptions
from nemo_lab.search.archive import ParetoFront
from nemo_lab.search.indicators import hypervolume, r2, uniform_directions
from nemo_lab.search.objective import only, varying
from nemo_lab.search.problem import bounds_of


def progress_frame(problem: Problem, log: Evaluations) -> pd.DataFrame:
    """One row for every evaluation that changed the front of all: evaluations, front, hypervolume, r2.

    Hypervolume as ``nemo_lab.search.indicators.hypervolume`` in the problem's reachable box; R2 towards the
    origin, lower is better.
    """
    columns = varying(problem)
    bounds = only(columns, bounds_of(problem))
    directions = uniform_directions(bounds.shape[1], SearchOptions.r2_partitions)
    front, everything = ParetoFront(), Constraints()
    rows = []
    for config in range(len(log)):
        if front.add(config, log, everything):
            vectors = only(columns, log.objectives[front.ids])
            rows.append((config + 1, len(vectors), hypervolume(vectors, bounds), r2(vectors, directions)))
    return pd.DataFrame(rows, columns=["evaluations", "front", "hypervolume", "r2"])
