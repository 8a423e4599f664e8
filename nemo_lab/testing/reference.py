"""Small problems whose true front is known, to see how far a search gets."""

from __future__ import annotations

import itertools
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.cost.bits import as_bits
from nemo_lab.errors import ArgumentError
from nemo_lab.problem import Problem
from nemo_lab.search.indicators import hypervolume, non_dominated

Floats = NDArray[np.float64]


class ReferenceProblem(Problem):
    """A network on paper: layers of an input and a weight node, and an error in closed form.

    Node q at b bits makes noise n_q = sensitivity_q * 4^(2 - b) * bump_q(b), and the error is
    1 - exp(-(sum of n_q + interaction * sum of n_q * n_(q+1))). ``size`` is the sum of parameters times
    width, of all nodes; ``work`` the sum of MACs times width, of both nodes of a layer or of the wider one.
    Both are shares of what the widest configuration takes.

    Args:
        name: of the problem.
        bit_widths: ascending, W of them.
        sensitivity: float[Q], noise of the nodes at 2 bits.
        parameters: float[Q], of the nodes.
        macs: float[L], of layers of two nodes each, the last of one if Q is odd.
        interaction: what noise in neighbours does beside each alone.
        bumps: float[Q, W], factors of the noise; 1 by default.
        wider: whether ``work`` counts the wider node of a layer.

    Attributes:
        objective_bounds: float[2, K], the best and the worst value that every objective takes.
    """

    objective_names = ("error", "size", "work")
    cost_names = ("size", "work")
    objective_bounds: Floats

    def __init__(
        self,
        name: str,
        bit_widths: tuple[int, ...],
        sensitivity: Any,
        parameters: Any,
        macs: Any,
        *,
        interaction: float = 0.0,
        bumps: Any = None,
        wider: bool = False,
    ) -> None:
        self.name, self.bit_widths = name, bit_widths
        self._sensitivity, self._parameters, self._macs = (
            np.asarray(given, dtype=np.float64) for given in (sensitivity, parameters, macs)
        )
        self.num_nodes = nodes = len(self._sensitivity)
        layers = np.arange(nodes) // 2
        self.node_names = tuple(f"layer{q // 2}.{('input', 'weight')[q % 2]}" for q in range(nodes))
        order = np.arange(nodes, dtype=np.int64)
        self.edges = np.stack([order[:-1], order[1:]])
        features = [
            self._parameters / self._parameters.max(),
            self._macs[layers] / self._macs.max(),
            order % 2,
        ]
        self.node_features = np.stack(features, axis=1).astype(np.float32)
        noise = self._sensitivity[:, None] * 4.0 ** (2.0 - np.asarray(bit_widths, dtype=np.float64))
        self._noise = noise if bumps is None else noise * np.asarray(bumps, dtype=np.float64)
        self._interaction, self._wider = interaction, wider
        every = self.evaluate(self.configurations)
        self.objective_bounds = np.array([every.min(axis=0), every.max(axis=0)])

    def costs(self, bits: Any) -> Floats:
        """``size`` and ``work``: integers[N, Q] -> float[N, 2]; BitWidthError as ``evaluate``."""
        return self._costs(as_bits(bits, self.num_nodes, self.bit_widths).astype(np.float64))

    def evaluate(self, bits: Any) -> Floats:
        """Error, size and work of configurations: integers[N, Q] -> float[N, 3].

        Raises:
            BitWidthError: on a wrong shape, or a width that is none of ``bit_widths``.
        """
        rows = as_bits(bits, self.num_nodes, self.bit_widths)
        noise = self._noise[np.arange(self.num_nodes), np.searchsorted(self.bit_widths, rows)]
        damage = noise.sum(axis=1) + self._interaction * (noise[:, :-1] * noise[:, 1:]).sum(axis=1)
        return np.column_stack([-np.expm1(-damage), self._costs(rows.astype(np.float64))])

    def _costs(self, bits: Floats) -> Floats:
        top = self.bit_widths[-1]
        size = bits @ self._parameters / (self._parameters.sum() * top)
        pairs = np.stack([bits[:, ::2], np.zeros_like(bits[:, ::2])], axis=2)
        pairs[:, : self.num_nodes // 2, 1] = bits[:, 1::2]
        count = np.minimum(2, self.num_nodes - 2 * np.arange(len(self._macs)))
        each = pairs.max(axis=2) if self._wider else pairs.sum(axis=2) / count
        return np.column_stack([size, each @ self._macs / (self._macs.sum() * top)])

    @cached_property
    def configurations(self) -> NDArray[np.uint8]:
        """All there are: uint8[W ** Q, Q]."""
        return np.array(list(itertools.product(self.bit_widths, repeat=self.num_nodes)), dtype=np.uint8)

    @cached_property
    def front(self) -> Floats:
        """The true front, by enumeration: float[M, 3], the lowest error first."""
        every = self.evaluate(self.configurations)
        rows = every[non_dominated(every)]
        return rows[np.lexsort(rows.T[::-1])]

    @cached_property
    def hypervolume(self) -> float:
        """Of the true front, normalised as ``nemo_lab.search.indicators.hypervolume``."""
        return hypervolume(self.front, self.objective_bounds)

    def reached(self, objectives: Any) -> float:
        """Share of the true hypervolume, in [0, 1], that objectives float[N, 3] dominate.

        Raises:
            ArgumentError: on another shape.
        """
        found = np.asarray(objectives, dtype=np.float64)
        if found.ndim != 2 or found.shape[1] != len(self.objective_names):
            raise ArgumentError(
                f"objectives have shape {found.shape}", f"give one row of {len(self.objective_names)} each"
            )
        return hypervolume(found, self.objective_bounds) / self.hypervolume

    def __repr__(self) -> str:
        return f"<ReferenceProblem {self.name}: {len(self.configurations)} configurations>"


def reference_problems() -> tuple[ReferenceProblem, ...]:
    """Problems of 5 to 7 nodes, each hard in a way of its own.

    Returns:
        ``separable``: every node adds its own error and costs.
        ``pairs``: noise in neighbours multiplies, and a layer works at its wider node.
        ``bumpy``: some wider widths are worse than narrower ones.

    >>> [(p.name, p.num_nodes, len(p.configurations)) for p in reference_problems()]
    [('separable', 5, 16807), ('pairs', 6, 15625), ('bumpy', 7, 16384)]
    """
    bumps = [
        [1, 1, 1, 1],
        [1, 20, 1, 1],
        [1, 0.2, 6, 1],
        [1, 1, 40, 1],
        [1, 1, 1, 30],
        [0.1, 4, 1, 1],
        [1, 1, 1, 1],
    ]
    return (
        ReferenceProblem(
            "separable", (2, 3, 4, 5, 6, 7, 8), [2.0, 0.1, 0.5, 0.9, 0.05], [1, 8, 3, 2, 20], [6, 3, 1]
        ),
        ReferenceProblem(
            "pairs",
            (2, 3, 4, 6, 8),
            [0.6, 0.3, 0.2, 0.5, 0.1, 0.4],
            [1, 6, 2, 12, 1, 4],
            [5, 3, 1],
            interaction=12.0,
            wider=True,
        ),
        ReferenceProblem(
            "bumpy",
            (2, 4, 6, 8),
            [1.0, 0.2, 0.4, 0.8, 0.1, 0.6, 0.3],
            [1, 9, 2, 14, 1, 5, 3],
            [4, 6, 2, 1],
            bumps=bumps,
            wider=True,
        ),
    )
