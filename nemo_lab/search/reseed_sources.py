"""Where new members of a species come from: configurations that they are to imitate."""

from __future__ import annotations

import numpy as np

from nemo_lab.search.options import SearchOptions
from nemo_lab.search.problem import Problem
from nemo_lab.search.species import Bits
from nemo_lab.search.view import SearchView

SOURCES = ("random", "front", "uniform", "sensitivity")


def configurations(
    source: str, problem: Problem, options: SearchOptions, view: SearchView, rng: np.random.Generator
) -> Bits | None:
    """uint8[N, Q] of a source by name, None for random members.

    ``"front"`` are the members of the front; ``"uniform"`` one width everywhere, each width once;
    ``"sensitivity"`` the best mixtures, none evaluated yet, by a model of what every node can bear that is
    fitted to all evaluations. ``"front"`` and ``"sensitivity"`` are None before there is an evaluation.
    """
    if source == "uniform":
        return np.repeat(np.array(problem.bit_widths, dtype=np.uint8)[:, None], problem.num_nodes, axis=1)
    if source == "front" and len(view.front):
        return view.evaluations.bits[view.front]
    if source == "sensitivity" and len(view.evaluations):
        from nemo_lab.search.surrogate.proposer import Proposer

        found = Proposer(problem, options).propose(view, [], options.population, rng)
        return np.array(found, dtype=np.uint8) if found else None
    return None
