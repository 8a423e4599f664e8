"""What the exact costs can reach, found by asking for costs: the search measures gains in that box. Ours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nemo_lab.choices import choices, nearest
from nemo_lab.search.problem import Problem, bounds_of, exact_costs

Floats = NDArray[np.float64]


def reachable(problem: Problem) -> Floats:
    """The problem's box, of the exact costs only the part between the ends that are found: float[2, K].

    They are looked for where all nodes have one width, and where each has the width at which the cost is
    least, or most, with the others at their lowest. So they are right for costs that grow with every width,
    or are sums over nodes.
    """
    columns = np.array([problem.objective_names.index(name) for name in problem.cost_names], dtype=np.intp)
    ends = _ends(problem) if len(columns) else np.empty((2, 0))
    bounds = np.array(bounds_of(problem))
    low, high = np.maximum(bounds[0, columns], ends[0]), np.minimum(bounds[1, columns], ends[1])
    fits = low < high
    bounds[:, columns[fits]] = low[fits], high[fits]
    return bounds


def _ends(problem: Problem) -> Floats:
    """The least and the most of each exact cost that is found: float[2, C]."""
    widths = np.asarray(problem.bit_widths, dtype=np.uint8)
    own = widths[nearest(choices(problem), widths)]  # uint8[Q, W]: what each node may have instead of each
    nodes = np.arange(len(own))
    alone = np.repeat(own[None, :, 0], own.size, axis=0)
    alone[np.arange(own.size), np.repeat(nodes, len(widths))] = own.ravel()
    tables = exact_costs(problem, alone).T.reshape(-1, *own.shape)
    picked = [own[nodes, pick(table, axis=1)] for table in tables for pick in (np.argmin, np.argmax)]
    found = exact_costs(problem, np.concatenate([own.T, picked]))
    return np.stack([found.min(axis=0), found.max(axis=0)])
