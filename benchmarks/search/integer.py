"""Sensitivities and an integer program, as HAWQ-V3 and its like allocate widths."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array, csr_array

import nemo_lab as nl


class Program:
    """Least noise that fits a budget of model size and one of bit-operations, in bits per weight and MAC.

    One binary variable for every node and width, one real variable for every layer: its compute width,
    at least that of either operand.
    """

    def __init__(self, workload: nl.Workload, widths: tuple[int, ...]) -> None:
        self.widths = np.array(widths)
        nodes, layers = workload.nodes, workload.layers
        self._count, self._binary = len(nodes), len(nodes) * len(widths)
        self._variables = self._binary + len(layers)
        params = np.array([node.params for node in nodes], dtype=float)
        macs = np.array([layer.macs for layer in layers], dtype=float)
        size = np.concatenate([np.outer(params / params.sum(), widths).ravel(), np.zeros(len(layers))])
        work = np.concatenate([np.zeros(self._binary), macs / macs.sum()])
        ends = [(i, q) for i, layer in enumerate(layers) for q in layer.operands if q is not None]
        self._one_width = self._each_node(range(self._count), np.ones(len(widths)))
        wide = self._each_node([node for _, node in ends], self.widths)
        compute = coo_array(
            (np.ones(len(ends)), (range(len(ends)), [self._binary + i for i, _ in ends])), shape=wide.shape
        )
        self._compute = csr_array(compute - wide)
        self._budgets = np.stack([size, work])

    def solve(self, noise: NDArray[np.float64], size: float, work: float) -> NDArray[np.uint8] | None:
        """uint8[Q] of least noise float[Q, widths]; None if nothing fits. Takes about half a second."""
        variables = self._variables
        least, most = float(self.widths[0]), float(self.widths[-1])
        reals = np.arange(variables) >= self._binary
        found = milp(
            np.concatenate([noise.ravel() / noise[:, 0].max(), np.zeros(variables - self._binary)]),
            integrality=~reals,
            bounds=Bounds(np.where(reals, least, 0), np.where(reals, most, 1)),
            constraints=[
                LinearConstraint(self._one_width, 1, 1),
                LinearConstraint(self._compute, 0, np.inf),
                LinearConstraint(self._budgets, -np.inf, np.array([size, work])),
            ],
            # no limit of time: results would depend on what else the machine does
            options={"node_limit": 20, "mip_rel_gap": 0.02},
        )
        if found.x is None:
            return None
        chosen = found.x[: self._binary].reshape(self._count, -1).argmax(axis=1)
        return self.widths[chosen].astype(np.uint8)

    def _each_node(self, nodes: range | list[int], values: NDArray[np.float64]) -> csr_array:
        """A row for every node of the list, with the values at the variables of its widths."""
        per = len(values)
        rows = np.repeat(np.arange(len(nodes)), per)
        columns = (np.array(nodes)[:, None] * per + np.arange(per)).ravel()
        return csr_array((np.tile(values, len(nodes)), (rows, columns)), shape=(len(nodes), self._variables))
