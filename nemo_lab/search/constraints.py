"""What people ask of configurations: pins, limits on objectives, and an aspiration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab.arguments import Number
from nemo_lab.choices import choices, fit, not_allowed
from nemo_lab.errors import ArgumentError, BitWidthError, shown
from nemo_lab.problem import Problem

Floats = NDArray[np.float64]
Bits = NDArray[np.uint8]
NUMBER = Number()
Width = int | tuple[int, int]  # one bit-width, or the lowest and the highest of a range
Pins = Mapping[int, Width]


@dataclass(frozen=True)
class Constraints:
    """What is asked of configurations now. All ours: the paper searches without any.

    Attributes:
        pins: node -> bit-width that it has in everything evaluated from now on.
        limits: objective -> largest value allowed. The front shows what keeps them; while nothing does, what
            violates them least.
        aspiration: objective -> (low, high), the box that the search concentrates on. The front is not cut by
            it: what lies outside ranks behind what lies inside.
        ranges: node -> (lowest, highest) bit-width, for nodes that are pinned to a range.
    """

    pins: Mapping[int, int] = field(default_factory=dict)
    limits: Mapping[int, float] = field(default_factory=dict)
    aspiration: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    ranges: Mapping[int, tuple[int, int]] = field(default_factory=dict)

    @property
    def held(self) -> dict[int, Width]:
        """Every pinned node -> its width, or (lowest, highest), in the order of the nodes."""
        held: dict[int, Width] = {**self.pins, **self.ranges}
        return {node: held[node] for node in sorted(held)}

    def holding(self, pins: Pins) -> Constraints:
        """The same with more pins, in place of what their nodes had; a range of one width is an exact pin."""
        others = self.freeing(pins)
        asked = {node: _ends(width) for node, width in pins.items()}
        exact = {node: low for node, (low, high) in asked.items() if low == high}
        ranges = {node: ends for node, ends in asked.items() if node not in exact}
        return replace(others, pins={**others.pins, **exact}, ranges={**others.ranges, **ranges})

    def freeing(self, nodes: Sequence[int] | Pins) -> Constraints:
        """The same without the pins of some nodes."""
        return replace(
            self,
            pins={node: width for node, width in self.pins.items() if node not in nodes},
            ranges={node: ends for node, ends in self.ranges.items() if node not in nodes},
        )

    def apply(self, bits: Bits, problem: Problem) -> Bits:
        """Bring the nodes of a configuration uint8[Q] to the nearest width they may have, in place."""
        if problem.allowed is not None:
            bits[:] = fit(bits, self.allowed(problem), problem.bit_widths)
            return bits
        for node, width in self.held.items():
            low, high = _ends(width)
            bits[node] = min(max(int(bits[node]), low), high)
        return bits

    def pinned(self, bits: Bits) -> NDArray[np.bool_]:
        """bool[N]: which rows of uint8[N, Q] have every pinned node at its width, or in its range."""
        return satisfies(bits, self.held)

    def excess(self, objectives: Floats) -> Floats:
        """float[N]: by how much the rows of float[N, K] go beyond the limits, added up; 0 within."""
        total = np.zeros(len(objectives))
        for k, limit in self.limits.items():
            total += np.maximum(objectives[:, k] - limit, 0.0)
        return total

    def penalty(self, bits: Bits, objectives: Floats) -> Floats:
        """float[N] to rank by before quality: 0 keeps everything; a broken pin weighs more than any limit."""
        total = np.where(self.pinned(bits), 0.0, 1e6) + 1e3 * self.excess(objectives)
        for k, (_, high) in self.aspiration.items():
            total += np.maximum(objectives[:, k] - high, 0.0)
        return total

    def allowed(self, problem: Problem) -> NDArray[np.bool_]:
        """bool[Q, W]: which widths each node may take."""
        free, given = choices(problem), np.asarray(problem.bit_widths)
        for node, width in self.held.items():
            low, high = _ends(width)
            free[node] &= (low <= given) & (given <= high)
        return free

    def box(self, bounds: Floats) -> Floats:
        """float[2, K]: where the search wants points: the bounds, cut by aspiration and limits."""
        box = np.array(bounds, dtype=np.float64)
        for k, (low, high) in self.aspiration.items():
            box[:, k] = np.clip((low, high), *bounds[:, k])
        for k, limit in self.limits.items():
            box[1, k] = max(min(box[1, k], limit), box[0, k])
        return box

    def state_dict(self) -> dict[str, list[list[Any]]]:
        """Mappings as lists of pairs, for JSON."""
        return {
            name: [[key, value] for key, value in mapping.items()] for name, mapping in vars(self).items()
        }

    @classmethod
    def from_state(cls, saved: Mapping[str, Any]) -> Constraints:
        """Back from ``state_dict``."""
        asked: dict[str, Any] = {
            name: {int(key): tuple(value) if isinstance(value, list) else value for key, value in pairs}
            for name, pairs in saved.items()
        }
        return cls(**asked)


def satisfies(bits: Bits, pins: Pins) -> NDArray[np.bool_]:
    """bool[N]: which rows of bits[N, Q] have every pinned node at its width, or in its range."""
    nodes = np.fromiter(pins.keys(), dtype=np.intp, count=len(pins))
    ends = np.array([_ends(width) for width in pins.values()], dtype=np.uint8).reshape(-1, 2)
    held = bits[:, nodes]
    return np.asarray(((ends[:, 0] <= held) & (held <= ends[:, 1])).all(axis=1))


def checked_width(value: Any, widths: Sequence[int]) -> Width:
    """What a node may be pinned to: one of the widths, or (lowest, highest).

    Raises:
        BitWidthError: if a width is none of them.
        ArgumentError: if a range is empty, or leaves every width.
    """
    if not isinstance(value, tuple | list):
        return checked_bits(value, widths)
    if len(value) != 2:
        raise ArgumentError(f"{value!r} is not a range of bit-widths", "give (lowest, highest)")
    low, high = (checked_bits(end, widths) for end in value)
    if low > high:
        raise ArgumentError(f"the range {low} to {high} is empty", f"write ({high}, {low})")
    if low < high and (low, high) == (min(widths), max(widths)):
        raise ArgumentError(
            f"the range {low} to {high} has every bit-width, so it pins nothing",
            "give a narrower one, or free the node with unpin",
        )
    return low if low == high else (low, high)


def checked_pins(pins: Pins, problem: Problem) -> dict[int, Width]:
    """What nodes are to be pinned to: see ``checked_width``.

    Raises:
        BitWidthError, ArgumentError: if a width is none of the problem's, or a node may have none of them.
    """
    widths = tuple(problem.bit_widths)
    checked = {node: checked_width(width, widths) for node, width in pins.items()}
    if problem.allowed is not None:
        left = Constraints().holding(checked).allowed(problem)
        for node in checked:
            if not left[node].any():
                raise not_allowed(problem, node, width_text(checked[node]))
    return checked


def checked_bits(value: Any, widths: Sequence[int]) -> int:
    """One of the bit-widths.

    Raises:
        BitWidthError: if it is none of them.
    """
    try:
        return int(widths[widths.index(NUMBER.clean(value))])
    except Exception:
        allowed = ", ".join(map(str, widths))
        raise BitWidthError(f"bit-width {shown(value)} is not allowed", f"choose from {allowed}") from None


def width_text(width: Width) -> str:
    """A pin as people read it: ``"4"`` or ``"4 to 8"``."""
    return " to ".join(map(str, width)) if isinstance(width, tuple) else str(width)


def _ends(width: Width) -> tuple[int, int]:
    return width if isinstance(width, tuple) else (width, width)
