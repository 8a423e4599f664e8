"""What one node at few bits does to the error, probed one by one: the basis of greedy and of the programs."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from benchmarks.search.meter import Meter

SATURATED = 0.1  # share of the accuracy that a probe must leave for its damage to mean a number
HALF_AN_IMAGE = 0.5 / 1000  # an accuracy has steps
NO_STEP = 1e-6  # other errors have none


class Sensitivity:
    """Damage of every node at every width, from probes with one node at few bits and all others at the most.

    Damage is ``-ln`` of the share of the accuracy above the worst that is left; where it is a share of
    images, at least what half of one would do. Probes at all widths are measured or extrapolated: a bit less
    is four times the noise power.

    Args:
        meter: pays for the uniform widths at once, and for the probes.
    """

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.widths = np.array(meter.bit_widths)
        self._step = HALF_AN_IMAGE if meter.objective_names[0] == "task_error" else NO_STEP
        uniform = np.repeat(self.widths[:, None], meter.num_nodes, axis=1)
        errors = meter.evaluate(uniform)[:, 0]
        self.best, self.worst = float(errors.min()), float(errors.max())
        self._damage = np.full((meter.num_nodes, len(self.widths)), np.nan)

    def probe(self, width: int) -> None:
        """Every node at the width, others at the most bits; one that ruins all is probed a bit higher."""
        self._probe(range(self.meter.num_nodes), int(np.searchsorted(self.widths, width)))

    def _probe(self, nodes: Iterable[int], place: int) -> None:
        todo = [node for node in nodes if np.isnan(self._damage[node, place])]
        for node in todo:
            row = np.full(self.meter.num_nodes, self.widths[-1])
            row[node] = self.widths[place]
            self._damage[node, place] = self.damage(float(self.meter.evaluate(row)[0, 0]))
        ruinous = [node for node in todo if self._damage[node, place] > -np.log(SATURATED)]
        if ruinous and place + 2 < len(self.widths):
            self._probe(ruinous, place + 1)

    def damage(self, error: float) -> float:
        """Of a configuration with this error."""
        kept = 1 - max(error - self.best, self._step) / (self.worst - self.best)
        return float(-np.log(max(kept, self._step)))

    def noise(self, power: float) -> NDArray[np.float64]:
        """float64[Q, widths], what is assumed to add up: damage = noise ** power, falling with the width."""
        noise = self._damage ** (1 / power)
        usable = np.where(self._damage > -np.log(SATURATED), np.nan, noise)
        for node in np.flatnonzero(np.isnan(usable).all(axis=1)):
            usable[node] = noise[node]
        for place in range(1, usable.shape[1]):  # the widest probe is extrapolated upwards, with 4 a bit
            below = usable[:, place - 1] / 4.0 ** (self.widths[place] - self.widths[place - 1])
            usable[:, place] = np.where(np.isnan(usable[:, place]), below, usable[:, place])
        for place in reversed(range(usable.shape[1] - 1)):
            above = usable[:, place + 1] * 4.0 ** (self.widths[place + 1] - self.widths[place])
            usable[:, place] = np.where(np.isnan(usable[:, place]), above, usable[:, place])
        return np.minimum.accumulate(usable, axis=1)
