"""Which nodes interact in the exact costs, found by asking for costs; nothing of the network is read. Ours.

Two sets of nodes interact if what changing both does is not the sum of what changing either does: the second
difference is not 0. All nodes lie in a binary tree of neighbours; two branches that do not interact are left,
those that do are split, until single nodes are left. So a sparse structure takes few questions.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nemo_lab.search.problem import Problem, exact_costs

Floats = NDArray[np.float64]
Levels = NDArray[np.uint8]
Branch = tuple[int, int]  # the first node, and the one behind the last

DRAWN = 3  # patterns of change beside those that set all nodes to one width
MOST = 50_000  # configurations whose costs are asked for, about
LEAST = 1e-9  # of the range of a cost: what is less is rounding


def interacting(costs: Callable[[Levels], Floats], nodes: int, widths: int) -> NDArray[np.int64]:
    """Pairs of nodes that interact in some cost, int64[P, 2]: the earlier node first, by the later one.

    At most about ``MOST`` configurations are asked for; where they do not suffice, all pairs of branches that
    were not split yet are left out.

    Args:
        costs: uint8[N, Q], positions of widths, to float[N, C].
        nodes: Q.
        widths: W.
    """
    if nodes < 2 or widths < 2:
        return np.empty((0, 2), dtype=np.int64)
    rng = np.random.default_rng(0)
    drawn = rng.integers(1, widths, (DRAWN, nodes))
    even = np.repeat(np.arange(widths)[:0:-1, None], nodes, axis=1)  # the widest first
    patterns = np.concatenate([drawn[:1], even, drawn[1:]]).astype(np.uint8)
    asked = _Asked(costs, patterns)
    pairs: list[tuple[int, int]] = []
    todo: list[tuple[Branch, Branch]] = _apart([(0, nodes)])
    while todo and asked.count < MOST:
        meet = asked.meet(todo)
        deeper: list[tuple[Branch, Branch]] = []
        for left, right in (pair for pair, found in zip(todo, meet, strict=True) if found):
            if _size(left) == _size(right) == 1:
                pairs.append((left[0], right[0]))
                continue
            deeper += [(one, two) for one in _halves(left) for two in _halves(right)]
        todo = deeper
    return np.array(sorted(pairs, key=lambda pair: pair[::-1]), dtype=np.int64).reshape(-1, 2)


def pairs_of(problem: Problem) -> NDArray[np.int64]:
    """Pairs of nodes of a problem that interact in its exact costs, int64[P, 2]."""
    widths = np.array(problem.bit_widths, dtype=np.uint8)
    return interacting(lambda rows: exact_costs(problem, widths[rows]), problem.num_nodes, len(widths))


class _Asked:
    """Costs of branches that are changed by patterns, each asked for once."""

    def __init__(self, costs: Callable[[Levels], Floats], patterns: Levels) -> None:
        self._costs, self._patterns = costs, patterns
        self._alone: dict[tuple[int, Branch], Floats] = {}
        ends = costs(np.concatenate([np.zeros_like(patterns[:1]), patterns]))
        self._ground, self._least = (
            ends[0],
            LEAST * np.maximum(np.ptp(ends, axis=0), np.abs(ends).max(axis=0)),
        )
        self.count = len(ends)

    def meet(self, pairs: list[tuple[Branch, Branch]]) -> list[bool]:
        """Whether the branches of each pair interact under some pattern."""
        found = [False] * len(pairs)
        for number in range(len(self._patterns)):
            open_ = [place for place, known in enumerate(found) if not known]
            if not open_ or self.count >= MOST:
                break
            self._ask_alone(number, dict.fromkeys(branch for place in open_ for branch in pairs[place]))
            both = self._of(number, [pairs[place] for place in open_])
            for place, together in zip(open_, both, strict=True):
                left, right = (self._alone[number, branch] for branch in pairs[place])
                found[place] = bool((np.abs(together - left - right + self._ground) > self._least).any())
        return found

    def _ask_alone(self, number: int, branches: dict[Branch, None]) -> None:
        new = [branch for branch in branches if (number, branch) not in self._alone]
        for branch, found in zip(new, self._of(number, [(branch,) for branch in new]), strict=True):
            self._alone[number, branch] = found

    def _of(self, number: int, changed: list[tuple[Branch, ...]]) -> Floats:
        rows = np.zeros((len(changed), self._patterns.shape[1]), dtype=np.uint8)
        for row, branches in zip(rows, changed, strict=True):
            for first, end in branches:
                row[first:end] = self._patterns[number, first:end]
        self.count += len(rows)
        return self._costs(rows) if len(rows) else np.empty((0, len(self._ground)))


def _apart(branches: list[Branch]) -> list[tuple[Branch, Branch]]:
    """Pairs of halves of every branch, down to single nodes: between them lie all pairs of nodes."""
    pairs = []
    while branches:
        halves = [_halves(branch) for branch in branches if _size(branch) > 1]
        pairs += [(left, right) for left, right in halves]
        branches = [branch for both in halves for branch in both]
    return pairs


def _halves(branch: Branch) -> list[Branch]:
    first, end = branch
    middle = (first + end) // 2
    return [branch] if end - first == 1 else [(first, middle), (middle, end)]


def _size(branch: Branch) -> int:
    return branch[1] - branch[0]
