"""Toy problems of unusual shapes: without costs, of exact costs only, of one node or objective."""

from __future__ import annotations

from typing import Any

import numpy as np

from nemo_lab.search import Problem
from tests.toy import ToyProblem


class Costless(ToyProblem):
    """All three objectives are measured."""

    cost_names = ()  # type: ignore[assignment]
    costs = Problem.costs  # type: ignore[assignment]

    objective_bounds = np.array([[0.0] * 3, [1.0] * 3])  # type: ignore[assignment]


class Two(ToyProblem):
    """Two measured objectives beside two exact ones, in another order."""

    objective_names = ("work", "loss", "worst", "size")  # type: ignore[assignment]
    objective_bounds = np.array([[0.0] * 4, [0.25, 1.0, 1.0, 0.25]])  # type: ignore[assignment]

    def evaluate(self, bits: Any) -> Any:
        loss, size, work = super().evaluate(bits).T
        worst = (2.0 ** (2.0 - np.atleast_2d(bits).astype(float))).max(axis=1)
        return np.column_stack([work, loss, worst, size])


class Exact(ToyProblem):
    """Nothing is measured."""

    cost_names = ("loss", "size", "work")  # type: ignore[assignment]

    def costs(self, bits: Any) -> Any:
        return super().evaluate(bits)

    objective_bounds = np.array([[0.0, 0.0, 0.0], [1.0, 0.25, 0.25]])  # type: ignore[assignment]


class OneExact(ToyProblem):
    """One objective, which is exact: the size, as far as it is from a third of the widest."""

    objective_names = ("size",)  # type: ignore[assignment]
    cost_names = ("size",)  # type: ignore[assignment]
    objective_bounds = np.array([[0.0], [1.0]])  # type: ignore[assignment]

    def costs(self, bits: Any) -> Any:
        return super().costs(bits)[:, :1]

    def evaluate(self, bits: Any) -> Any:
        return self.costs(bits)


class Constant(ToyProblem):
    """Whatever the widths, the loss is the same."""

    def evaluate(self, bits: Any) -> Any:
        found = super().evaluate(bits)
        found[:, 0] = 0.25
        return found


class Single(ToyProblem):
    """One node."""

    def __init__(self) -> None:
        super().__init__(2)
        self.num_nodes, self.node_names = 1, ("only",)
        self.node_features, self.edges = self.node_features[:1], np.empty((2, 0), dtype=np.int64)

    def costs(self, bits: Any) -> Any:
        return np.atleast_2d(np.asarray(bits, dtype=float)) * [1 / 32, 0.5 / 32]

    def evaluate(self, bits: Any) -> Any:
        b = np.atleast_2d(np.asarray(bits, dtype=float))
        return np.column_stack([2.0 ** (2.0 - b[:, 0]), self.costs(bits)])

    objective_bounds = np.array([[0.0] * 3, [1.0, 0.25, 0.25]])  # type: ignore[assignment]


class OfKinds(ToyProblem):
    """Weights and inputs may have other widths, which lie apart."""

    def __init__(self) -> None:
        super().__init__(6, (2, 3, 4, 8, 16))
        self.allowed = np.array([[True, True, True, False, False], [False, False, True, True, True]] * 3)[
            [1, 0, 3, 2, 5, 4]
        ]


PROBLEMS: dict[str, Any] = {
    "costless": Costless,
    "two measured": Two,
    "exact": Exact,
    "one exact": OneExact,
    "constant": Constant,
    "one node": Single,
    "two widths": lambda: ToyProblem(6, (4, 8)),
    "of kinds": OfKinds,
    "one width": lambda: ToyProblem(6, (4,)),
}
