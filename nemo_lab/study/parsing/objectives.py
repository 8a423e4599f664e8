"""From what people write about objectives to positions and numbers, with errors that name the way out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from nemo_lab.errors import ArgumentError, UnknownNameError
from nemo_lab.search import Problem
from nemo_lab.search.problem import bounds_of

ROUNDING = 1e-12  # what a limit was read from keeps it, though ratios are rounded otherwise
FORM = re.compile(r"\s*(.+?)\s*(<=|>=|<|>)\s*([-+.\deE]+)\s*")


class ObjectiveNames:
    """Every name of every objective of a problem: its own, and absolute ones where it has a cost model."""

    def __init__(self, problem: Problem) -> None:
        self._bounds = bounds_of(problem)
        self._units = {name: (k, 1.0) for k, name in enumerate(problem.objective_names)}
        model = problem.cost_model
        if model is not None:
            for unit, ratio, full in zip(
                ("model_mb", "gbops"), ("model_ratio", "bitop_ratio"), model.full_precision, strict=True
            ):
                if ratio in self._units:
                    self._units.setdefault(unit, (self._units[ratio][0], (1.0 + ROUNDING) / full))

    def limits(self, constraints: Sequence[str]) -> dict[int, float]:
        """Objective -> largest value, from texts such as ``"model_mb <= 2"``; the tightest of several.

        Raises:
            ArgumentError: on what has another form.
            UnknownNameError: if there is no such objective.
        """
        found: dict[int, float] = {}
        for text in constraints:
            match = FORM.fullmatch(text) if isinstance(text, str) else None
            number = None if match is None else _number(match[3])
            if match is None or number is None:
                raise ArgumentError(
                    f"constraint {text!r} cannot be read",
                    "write 'task_error <= 0.05' or 'model_mb <= 2'",
                )
            name, sign = match[1], match[2]
            if name == "accuracy" and "accuracy" not in self._units and "task_error" in self._units:
                error = 1 - Decimal(match[3])  # 0.1, not 0.09999999999999998, for 0.9
                name, number, sign = "task_error", float(error), "<=" if sign in (">=", ">") else ">="
            if sign in (">=", ">"):
                raise ArgumentError(
                    f"constraint {text!r} asks for more of what is minimised", f"write '{name} <= ...'"
                )
            k, scale = self._known(name)
            found[k] = min(number * scale, found.get(k, float("inf")))
        return found

    def box(self, given: Mapping[str, Any]) -> dict[int, tuple[float, float]]:
        """Objective -> (smallest, largest), from names = largest or (smallest, largest); None for no limit.

        Raises:
            ArgumentError: if an interval is empty, not finite, or outside of what can be reached.
            UnknownNameError: if there is no such objective.
        """
        found: dict[int, tuple[float, float]] = {}
        for name, value in given.items():
            k, scale = self._known(name)
            if value is None:
                continue
            low, high = value if isinstance(value, tuple | list) and len(value) == 2 else (None, value)
            least, most = (float(x) for x in self._bounds[:, k])
            first = least if low is None else _number(low)
            last = _number(high)
            if first is None or last is None:
                raise ArgumentError(f"{name}={value!r}", "give the largest value, or (smallest, largest)")
            first = first if low is None else first * scale
            last *= scale
            if not (first < last and last > least and first < most):
                raise ArgumentError(
                    f"{name}={value!r} leaves nothing",
                    f"it can be reached from {least / scale:.4g} to {most / scale:.4g}",
                )
            found[k] = (first, last)
        return found

    def _known(self, name: str) -> tuple[int, float]:
        if name not in self._units:
            raise UnknownNameError("objective", name, self._units)
        return self._units[name]


def _number(value: Any) -> float | None:
    """A finite number, None for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if abs(number) < float("inf") else None
