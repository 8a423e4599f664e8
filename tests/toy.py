"""A problem that costs nothing to evaluate, and variations of it that wait or fail."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nemo_lab import check_interrupted
from nemo_lab.search import Problem
from tests.waiting import PATIENCE


class ToyProblem(Problem):
    """Six nodes, three objectives in conflict; pure arithmetic, the same on every call."""

    objective_names = ("loss", "size", "work")
    cost_names = ("size", "work")

    def __init__(self, num_nodes: int = 6, bit_widths: tuple[int, ...] = (2, 3, 4, 5, 6, 7, 8)) -> None:
        rng = np.random.default_rng(0)
        self.num_nodes = num_nodes
        self.node_names = tuple(f"layer{i // 2}.{'weight' if i % 2 else 'input'}" for i in range(num_nodes))
        self.bit_widths = bit_widths
        self.node_features = rng.random((num_nodes, 4)).astype(np.float32)
        order = np.arange(num_nodes, dtype=np.int64)
        self.edges = np.stack([order[:-1], order[1:]])
        self.sensitivity = rng.random(num_nodes) + 0.1
        self.weights = rng.random(num_nodes) + 0.1
        self.calls = 0

    @property
    def objective_bounds(self) -> NDArray[np.float64]:
        low, high = (np.full((1, self.num_nodes), b) for b in (self.bit_widths[0], self.bit_widths[-1]))
        return np.array([[0.0, *self.costs(low)[0]], [1.0, *self.costs(high)[0]]])

    def costs(self, bits: Any) -> NDArray[np.float64]:
        b = np.atleast_2d(np.asarray(bits, dtype=np.float64))
        size = (b * self.weights).sum(axis=1) / self.weights.sum() / 32
        work = np.maximum(b[:, ::2], b[:, 1::2]).sum(axis=1) / (self.num_nodes // 2) / 32
        return np.column_stack([size, work])

    def evaluate(self, bits: Any) -> NDArray[np.float64]:
        self.calls += 1
        b = np.atleast_2d(np.asarray(bits, dtype=np.float64))
        loss = (self.sensitivity * 2.0 ** (2.0 - b)).sum(axis=1) / self.sensitivity.sum()
        return np.column_stack([loss, ToyProblem.costs(self, b)])


class Foreseeing(ToyProblem):
    """Says what each node harms: the truth, times what it is given."""

    def __init__(self, factor: Any = 1.0, num_nodes: int = 6) -> None:
        super().__init__(num_nodes)
        self.truth = self.__dict__.pop("sensitivity")
        self.factor, self.asked = factor, 0

    def evaluate(self, bits: Any) -> NDArray[np.float64]:
        b = np.atleast_2d(np.asarray(bits, dtype=np.float64))
        loss = (self.truth * 2.0 ** (2.0 - b)).sum(axis=1) / self.truth.sum()
        return np.column_stack([loss, self.costs(b)])

    def sensitivity(self) -> Any:
        self.asked += 1
        return self.factor * np.outer(self.truth, 2.0 ** (2.0 - np.array(self.bit_widths)))


class GatedProblem(ToyProblem):
    """Lets evaluations after the first ``free`` ones through only while ``gate`` is set.

    ``entered`` says that one of them waits or runs: a run is held there, and need not be caught in the act.
    """

    def __init__(self, free: int = 0) -> None:
        super().__init__()
        self.free = free
        self.gate = threading.Event()
        self.entered = threading.Event()

    def evaluate(self, bits: Any) -> NDArray[np.float64]:
        if self.calls >= self.free:
            self.entered.set()
            self.gate.wait(PATIENCE)
        return super().evaluate(bits)


class SlowProblem(ToyProblem):
    """Takes two milliseconds an evaluation, or as long as it is told, so that others have their turn."""

    seconds = 0.002

    def evaluate(self, bits: Any) -> NDArray[np.float64]:
        threading.Event().wait(self.seconds)
        return super().evaluate(bits)


class FailingProblem(ToyProblem):
    """Raises once, at a given evaluation; works again afterwards."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def evaluate(self, bits: Any) -> NDArray[np.float64]:
        if self.calls == self.at:
            self.at = -1
            raise OSError("the accelerator went away")
        return super().evaluate(bits)


class OddProblem(ToyProblem):
    """Returns whatever it is told to."""

    answer: Any = None

    def evaluate(self, bits: Any) -> NDArray[np.float64]:
        answer: NDArray[np.float64] = self.answer
        return answer


class EndlessProblem(ToyProblem):
    """While ``endless``, an evaluation ends only if it is interrupted.

    Args:
        together: ``entered`` is set once so many are being made at once.
    """

    def __init__(self, together: int = 1) -> None:
        super().__init__()
        self.endless, self._together, self._inside, self._counting = True, together, 0, threading.Lock()
        self.entered = threading.Event()
        self.left = 0

    def evaluate(self, bits: Any) -> NDArray[np.float64]:
        with self._counting:
            self._inside += 1
            if self._inside >= self._together:
                self.entered.set()
        try:
            while self.endless:
                check_interrupted()
                threading.Event().wait(0.001)
        except Exception:  # what people write around an unreliable accelerator
            return np.ones((1, 3))
        except BaseException:
            with self._counting:
                self.left += 1
            raise
        finally:
            with self._counting:
                self._inside -= 1
        return super().evaluate(bits)
