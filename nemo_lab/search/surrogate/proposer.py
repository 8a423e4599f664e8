"""From all evaluations so far to the candidates most worth an evaluation. Ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.choices import nearest
from nemo_lab.search.interactions import pairs_of
from nemo_lab.search.objective import only, varying
from nemo_lab.search.options import SearchOptions
from nemo_lab.search.problem import Problem, bounds_of, exact_costs
from nemo_lab.search.reach import reachable
from nemo_lab.search.surrogate.acquisition import pick_by_gain
from nemo_lab.search.surrogate.costs import probe
from nemo_lab.search.surrogate.icm import descend
from nemo_lab.search.surrogate.model import DamageModel
from nemo_lab.search.view import SearchView

Floats = NDArray[np.float64]
Levels = NDArray[np.uint8]


class Proposer:
    """A surrogate model of every measured objective that can vary, and the best candidates by them.

    Args:
        problem: whose exact costs are called as often as need be.
        options: ``surrogate_*``.
        pairs: int64[P, 2], nodes that interact in the exact costs; found out by default.
    """

    def __init__(
        self, problem: Problem, options: SearchOptions, pairs: NDArray[np.int64] | None = None
    ) -> None:
        self.options = options
        self.widths = np.asarray(problem.bit_widths, dtype=np.uint8)
        self._problem = problem
        self._varying = varying(problem)
        box = reachable(problem) if options.find_reach else bounds_of(problem)
        self._bounds = only(self._varying, box)
        self._span = np.maximum(self._bounds[1] - self._bounds[0], 1e-12)
        exact = tuple(problem.cost_names)
        names = [problem.objective_names[k] for k in self._varying]
        self._exact = [names.index(name) for name in exact if name in names]
        self._columns = [exact.index(names[k]) for k in self._exact]
        self._measured = [k for k in range(len(names)) if k not in self._exact]
        self._models: list[DamageModel] = []
        self._learnt, self._rows = 0, np.arange(0)
        found = pairs_of(problem) if pairs is None else pairs
        self._parts = probe(self._costs, problem.num_nodes, len(self.widths), found)

    def propose(
        self, view: SearchView, others: Sequence[NDArray[np.uint8]], count: int, rng: np.random.Generator
    ) -> list[NDArray[np.uint8]]:
        """Up to ``count`` configurations that are not evaluated yet, best first.

        Args:
            view: of the search.
            others: further candidates uint8[Q], beside those of its own descent.
            count: how many are wanted.
            rng: draws prices, samples of the models, and candidates to explore.
        """
        log = view.evaluations
        self._learn(view)
        further = np.searchsorted(self.widths, np.array(others, dtype=np.uint8)).astype(np.uint8)
        pool = np.concatenate([self._cheapest(view, rng), further.reshape(-1, len(view.allowed))])
        near = nearest(view.allowed, self.widths)
        pool = np.unique(near[np.arange(len(near)), pool].astype(np.uint8), axis=0)
        pool = pool[[not view.known(row) for row in self.widths[pool]]]
        box = self._scaled(view.box)
        reference = box[1] + 0.01 * np.maximum(box[1] - box[0], 1e-9)
        front = self._scaled(log.objectives[view.front])
        explore = int(rng.binomial(count, self.options.surrogate_explore))
        predicted = self.predict(pool)
        picked = pick_by_gain(front, predicted, count - explore, reference)
        rest = rng.permutation(np.setdiff1d(np.arange(len(pool)), picked))
        if not picked.size:  # nothing reaches the box yet: come as near as can be
            beyond = np.maximum(predicted[rest] - box[1], 0.0).sum(axis=1)
            rest = rest[np.argsort(beyond, kind="stable")]
        extra = rest[: count - len(picked)]
        return list(self.widths[pool[np.concatenate([picked, extra])]])

    def _learn(self, view: SearchView) -> None:
        """Fit the models again, if there are enough new evaluations."""
        log = view.evaluations
        if len(log) < self._learnt * (1.0 + self.options.surrogate_refit):
            return
        self._learnt, self._rows = len(log), self._informative(log.objectives, view)
        for model, levels, errors in self._lessons(view):
            model.fit(levels, errors)

    def _lessons(self, view: SearchView) -> Iterator[tuple[DamageModel, Levels, Floats]]:
        """Every model, with the positions of widths and the errors that it learns from."""
        if not self._models:
            features, widths = self._problem.node_features, self.widths.astype(np.int64)
            self._models = [DamageModel(features, widths, view.sensitivity) for _ in self._measured]
        log, rows = view.evaluations, self._rows
        levels = np.searchsorted(self.widths, log.bits[rows]).astype(np.uint8)
        for k, model in zip(self._measured, self._models, strict=True):
            yield model, levels, self._scaled(log.objectives[rows])[:, k]

    def state_dict(self) -> dict[str, Any]:
        """What the models have learnt, and from which evaluations."""
        points = [model.point.copy() for model in self._models] if self._learnt else []
        return {"learnt": self._learnt, "rows": self._rows, "points": points}

    def load_state_dict(self, state: Mapping[str, Any], view: SearchView) -> None:
        """Go on from a state, of a search that has at least those evaluations."""
        self._learnt, self._rows = state["learnt"], state["rows"]
        if self._learnt:
            for (model, levels, errors), point in zip(self._lessons(view), state["points"], strict=True):
                model.recall(levels, errors, point)

    def predict(self, levels: Levels) -> Floats:
        """Objectives that can vary, scaled to the problem's bounds, of uint8[N, Q]."""
        found = np.empty((len(levels), len(self._span)))
        found[:, self._exact] = self._costs(levels)
        for k, model in zip(self._measured, self._models, strict=True):
            found[:, k] = model.predict(levels)
        return found

    def _informative(self, objectives: Floats, view: SearchView) -> NDArray[np.intp]:
        """Rows to learn from: all, or the newest and the front where there are too many."""
        most = self.options.surrogate_memory
        if len(objectives) <= most:
            return np.arange(len(objectives))
        newest = np.arange(len(objectives) - most, len(objectives))
        return np.union1d(newest, view.front)

    def _cheapest(self, view: SearchView, rng: np.random.Generator) -> Levels:
        """Candidates that minimise damage plus priced costs, for random prices and samples of the models.

        Every state of the descent has its own prices and its own tables.
        """
        states, costs = self.options.surrogate_prices, len(self._exact)
        low, high = np.log(self.options.surrogate_price_range)
        strength = np.exp(rng.uniform(low, high, states))
        prices = strength[:, None] * rng.dirichlet(np.ones(max(costs, 1)), states)
        mix = rng.dirichlet(np.ones(max(len(self._models), 1)), states)
        parts = self._parts
        unary = np.zeros((states, *view.allowed.shape))
        for i, model in enumerate(self._models):
            unary += mix[:, i, None, None] * model.sample(rng, states, self.options.surrogate_spread)
        unary += np.tensordot(prices[:, :costs], parts.unary, axes=1)
        alone = np.where(view.allowed, unary, np.inf)
        uniform = unary.sum(axis=1).argmin(axis=1)
        levels = np.where(view.allowed[:, uniform].T, uniform[:, None], alone.argmin(axis=2)).astype(np.uint8)
        descend(
            unary,
            parts.pairwise,
            np.ascontiguousarray(prices[:, :costs]),
            parts.starts,
            parts.partners,
            view.allowed,
            levels,
            self.options.surrogate_sweeps,
        )
        return np.asarray(levels)

    def _costs(self, levels: Levels) -> Floats:
        if not self._exact:
            return np.zeros((len(levels), 0))
        costs = exact_costs(self._problem, self.widths[levels])[:, self._columns]
        return np.asarray((costs - self._bounds[0, self._exact]) / self._span[self._exact])

    def _scaled(self, objectives: Floats) -> Floats:
        return np.asarray((only(self._varying, objectives) - self._bounds[0]) / self._span)
