"""Which bit-widths each node may take: all of a problem's, or those that the problem leaves to it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.errors import BitWidthError
from nemo_lab.problem import Problem

Bits = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def choices(problem: Problem) -> Mask:
    """bool[Q, W]: which of the problem's widths each node may take; a copy."""
    if problem.allowed is None:
        return np.ones((problem.num_nodes, len(problem.bit_widths)), dtype=bool)
    return np.array(problem.allowed, dtype=bool)


def ends(problem: Problem) -> Bits:
    """uint8[2, Q]: the lowest and the highest width of every node."""
    widths, free = np.asarray(problem.bit_widths, dtype=np.uint8), choices(problem)
    return np.stack([widths[free.argmax(axis=1)], widths[-1 - free[:, ::-1].argmax(axis=1)]])


def nearest(free: Mask, widths: Any) -> NDArray[np.intp]:
    """intp[Q, W]: for each width the position of the one nearest to it that a node may take.

    Of two that are as near it is the wider. Every node has at least one.

    Args:
        free: bool[Q, W].
        widths: W of them, ascending.
    """
    given = np.asarray(widths, dtype=np.int64)
    far = np.abs(given[:, None] - given)[None] * 2 - (given > given[:, None])
    return np.asarray(np.where(free[:, None, :], far, np.iinfo(np.int64).max).argmin(axis=2))


def fit(bits: NDArray[Any], free: Mask, widths: Any) -> Bits:
    """Rows of the widths, [N, Q] or one, as uint8 with every node at the nearest width that it may take."""
    given = np.asarray(widths, dtype=np.uint8)
    found = nearest(free, given)[np.arange(len(free)), np.searchsorted(given, bits)]
    return np.asarray(given[found])


def check_choices(rows: Bits, problem: Problem) -> None:
    """Refuse uint8[N, Q], of the problem's widths, where a node has one that it may not take.

    Raises:
        BitWidthError: names the first such node, and what it may have.
    """
    if problem.allowed is None:
        return
    widths = np.asarray(problem.bit_widths)
    wrong = np.argwhere(~choices(problem)[np.arange(rows.shape[1]), np.searchsorted(widths, rows)])
    if len(wrong):
        row, node = wrong[0]
        raise not_allowed(problem, int(node), str(rows[row, node]))


def not_allowed(problem: Problem, node: int, asked: str) -> BitWidthError:
    """The error for a width, or a range of widths, that a node may not take."""
    own = np.asarray(problem.bit_widths)[choices(problem)[node]]
    return BitWidthError(
        f"{problem.node_names[node]!r} may not have {asked} bits", f"choose from {', '.join(map(str, own))}"
    )


class Ladder:
    """The widths of every node as levels from 0, one step apart, whatever lies between them.

    Attributes:
        widths: uint8[W], of the problem.
        top: intp[Q], the highest level of each node.
    """

    def __init__(self, problem: Problem) -> None:
        self.widths = np.asarray(problem.bit_widths, dtype=np.uint8)
        free = choices(problem)
        self.top = free.sum(axis=1) - 1
        self._nodes = np.arange(len(free))
        self._position = np.argsort(~free, axis=1, kind="stable")  # level -> width's position
        self._level = np.cumsum(free, axis=1) - 1  # width's position -> level of the one at or below
        self._near = np.take_along_axis(self._level, nearest(free, self.widths), axis=1)

    def levels(self, bits: Bits) -> NDArray[np.intp]:
        """Levels intp[..., Q] of the widths nearest to uint8[..., Q]."""
        return self.near(np.searchsorted(self.widths, bits))

    def near(self, positions: NDArray[np.intp]) -> NDArray[np.intp]:
        """Levels nearest to positions intp[..., Q] among the widths."""
        return np.asarray(self._near[self._nodes, positions])

    def below(self, positions: NDArray[np.intp]) -> NDArray[np.intp]:
        """Levels at or below positions intp[..., Q] among the widths; the lowest where there is none."""
        return np.asarray(self._level[self._nodes, positions].clip(0))

    def bits(self, levels: NDArray[Any]) -> Bits:
        """Widths uint8[..., Q] of levels; of the nearest end beyond them."""
        within = np.minimum(np.maximum(levels, 0), self.top).astype(np.intp)
        return np.asarray(self.widths[self._position[self._nodes, within]])
