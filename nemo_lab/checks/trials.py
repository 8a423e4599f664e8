"""Ways out, tried on the same data before anybody is told to take them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from nemo_lab.errors import NemoError
from nemo_lab.quantize import QuantizationProblem
from nemo_lab.workload.records import FULL_PRECISION

TIMES_A_CANDIDATE = 3.0  # what a trial is expected to take, before one was made: it calibrates, too


@dataclass(frozen=True)
class Trial:
    """A way out that was tried: what it is called, and the error that it gives."""

    words: str
    error: float


class Trials:
    """Tries settings with one width everywhere, as long as there is time.

    Args:
        problem: whose network, calibration and data are used.
        candidate: seconds that an evaluation takes.
        seconds: that all trials may take together.
    """

    def __init__(self, problem: QuantizationProblem, candidate: float, seconds: float) -> None:
        self.problem = problem
        self._left, self._expected = seconds, TIMES_A_CANDIDATE * candidate

    def error(self, width: int, without: tuple[int, ...] = (), **settings: Any) -> float | None:
        """The task error, or None if it cannot be measured or would take too long.

        Args:
            width: of every node.
            without: nodes that stay in full precision.
            **settings: fields of ``QuantizationConfig`` that differ.
        """
        if self._expected >= self._left:
            return None
        row = np.full((1, self.problem.num_nodes), width, dtype=np.uint8)
        row[0, list(without)] = FULL_PRECISION
        begun = time.perf_counter()
        try:
            return float(self.problem.error_with(row, **settings)[0])
        except NemoError:  # such as folding that makes another network
            return None
        finally:
            took = time.perf_counter() - begun
            self._left, self._expected = self._left - took, max(self._expected, took)

    def ranges(self, width: int) -> list[Trial]:
        """Other ranges and scales."""
        config = self.problem.config
        other: list[dict[str, Any]] = [] if config.per_channel else [{"per_channel": True}]
        other += [] if config.equalize else [{"equalize": True}]
        other += [{"ranges": rule} for rule in ("percentile", "mse") if rule != config.ranges]
        return self._tried((_words(one), self.error(width, **one)) for one in other)

    def both(self, width: int) -> list[Trial]:
        """Scales for each channel, and ranges of least squared error."""
        both: dict[str, Any] = {"per_channel": True, "ranges": "mse"}
        return self._tried([(_words(both), self.error(width, **both))])

    def operands(self, width: int) -> list[Trial]:
        """Activations in full precision that are not multiplied, which cost no bit-operations."""
        workload = self.problem.workload
        multiplied = {place for layer in workload.layers for place in layer.operands}
        beside = tuple(
            n.index for n in workload.nodes if n.kind == "activation" and n.index not in multiplied
        )
        words = "Workload.from_module(..., activations='operands')"
        return self._tried([(words, self.error(width, beside))] if beside else [])

    def worst_left_out(self, width: int) -> list[Trial]:
        """The node with the worst ratio of signal to noise in full precision."""
        if self._expected > self._left or width not in self.problem.bit_widths:
            return []
        node = int(self.problem.sqnr()[width].to_numpy().argmin())
        name = self.problem.node_names[node]
        return self._tried([(f"Workload.from_module(..., ignore={name!r})", self.error(width, (node,)))])

    def _tried(self, found: Any) -> list[Trial]:
        return [Trial(words, error) for words, error in found if error is not None]


def _words(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in settings.items())
