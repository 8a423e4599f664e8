"""The classic way: sensitivities first, then a greedy walk or an integer program allocates the bits."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from benchmarks.search.integer import Program
from benchmarks.search.meter import BudgetSpentError, Meter
from benchmarks.search.sensitivity import Sensitivity

POWERS = (2.0, 1.5, 3.0, 1.0)  # damage = noise ** power, and the noise of the nodes adds up
GOLDEN = np.array([0.7548776662466927, 0.5698402909980532])  # steps that spread points over a square
PROBED = 3  # widths, the fewest bits first
WALK = 40  # evaluations of a greedy walk, at most
PATIENCE = 300  # proposals in a row that are worth no evaluation


def integer_program(meter: Meter, seed: int) -> None:
    """Programs for budgets of model size and bit-operations, spread evenly over both."""
    program = Program(meter.workload, meter.bit_widths)
    low, high = meter.bit_widths[0], meter.bit_widths[-1]

    def proposals(noise: NDArray[np.float64], known: Known, number: int) -> Iterator[NDArray[np.uint8]]:
        size, work = low + (high - low) * (GOLDEN * (number + 1) % 1)
        if not known.pointless(np.array([size, work]) / 32):
            found = program.solve(noise, size, work)
            if found is not None:
                yield found

    _allocate(meter, proposals)


def greedy(meter: Meter, seed: int) -> None:
    """Walks down from the most bits, each by another mix of the two costs."""
    moves = np.concatenate([np.eye(meter.num_nodes, dtype=np.uint8), _layers(meter)])
    low, high = meter.objective_bounds[:, 1:]

    def proposals(noise: NDArray[np.float64], known: Known, number: int) -> Iterator[NDArray[np.uint8]]:
        size = (0.5 + GOLDEN[0] * (number // len(POWERS))) % 1
        mix = np.array([size, 1 - size]) / (high - low)
        every = (len(meter.bit_widths) - 1) * meter.num_nodes // WALK
        place = np.full(meter.num_nodes, len(meter.bit_widths) - 1)
        widths = np.array(meter.bit_widths, dtype=np.uint8)
        for step in range(number % every, 10**6):
            lowered = np.maximum(place - _at_compute_width(moves, place), 0)
            gain = (meter.problem.costs(widths[place]) - meter.problem.costs(widths[lowered])) @ mix
            nodes = np.arange(meter.num_nodes)
            harm = noise[nodes, lowered].sum(axis=1) - noise[nodes, place].sum()
            ratio = np.where(gain > 1e-12, gain / np.maximum(harm, 1e-12), -1)
            if ratio.max() < 0 or known.hopeless(meter.problem.costs(widths[place])[0]):
                return
            place = lowered[ratio.argmax()]
            if step % every == 0:
                yield widths[place]

    _allocate(meter, proposals)


class Known:
    """What was measured, to leave out proposals that cannot matter."""

    def __init__(self, meter: Meter, sensitivity: Sensitivity) -> None:
        self.meter = meter
        self.seen: set[bytes] = set()
        self.lost = np.empty((0, 2))  # costs at which (nearly) all accuracy was lost, or none
        self.kept = np.empty((0, 2))
        self._limits = sensitivity.best, sensitivity.best + 0.98 * (sensitivity.worst - sensitivity.best)

    def hopeless(self, costs: NDArray[np.float64]) -> bool:
        """All accuracy was lost at the same costs or higher ones."""
        return bool((self.lost >= costs).all(axis=1).any())

    def pointless(self, costs: NDArray[np.float64]) -> bool:
        """Hopeless, or no accuracy was lost at the same costs or lower ones."""
        return self.hopeless(costs) or bool((self.kept <= costs).all(axis=1).any())

    def measure(self, bits: NDArray[np.uint8]) -> float | None:
        """Growth of the hypervolume by a configuration; None if it is not worth an evaluation."""
        if bits.tobytes() in self.seen or self.pointless(self.meter.problem.costs(bits)[0]):
            return None
        self.seen.add(bits.tobytes())
        before = self.meter.hypervolume(len(self.meter))
        error, *costs = self.meter.evaluate(bits)[0]
        if error <= self._limits[0]:
            self.kept = np.vstack([self.kept, costs])
        if error >= self._limits[1]:
            self.lost = np.vstack([self.lost, costs])
        return self.meter.hypervolume(len(self.meter)) - before


def _allocate(meter: Meter, proposals: Callable[..., Iterator[NDArray[np.uint8]]]) -> None:
    """Spend the budget: probes of one width more, then proposals for a while, and again.

    Each power of the noise gets its turns; three times of four, the one whose proposals gained most.
    """
    with contextlib.suppress(BudgetSpentError):
        sensitivity = Sensitivity(meter)
        known = Known(meter, sensitivity)
        gains = {power: [1.0] for power in POWERS}
        number = 0
        for stage in range(PROBED):
            sensitivity.probe(meter.bit_widths[stage])
            noises = {power: sensitivity.noise(power) for power in POWERS}
            until = len(meter) + meter.num_nodes if stage < PROBED - 1 else meter.budget
            idle = 0
            while len(meter) < until and idle < PATIENCE:
                power = POWERS[number % len(POWERS)]
                if number % 4 and number > 8 * len(POWERS):
                    power = max(POWERS, key=lambda one: float(np.mean(gains[one][-20:])))
                idle += 1
                for bits in proposals(noises[power], known, number):
                    gain = known.measure(bits)
                    if gain is not None:
                        gains[power].append(gain)
                        idle = 0
                number += 1


def _layers(meter: Meter) -> NDArray[np.uint8]:
    """uint8[L, Q]: both operands of every layer, which must go down together to save work."""
    both = np.zeros((len(meter.workload.layers), meter.num_nodes), dtype=np.uint8)
    for row, layer in zip(both, meter.workload.layers, strict=True):
        row[[node for node in layer.operands if node is not None]] = 1
    return both


def _at_compute_width(moves: NDArray[np.uint8], place: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of the nodes that each move lowers, those with the most bits."""
    widest = (moves * (place + 1)).max(axis=1, keepdims=True)
    return np.asarray(moves * (place + 1 == widest), dtype=np.int64)
