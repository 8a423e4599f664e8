"""What an evaluation costs within a real search, and what each kind of memory saves."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import nemo_lab as nl
from benchmarks.evaluator.methods import plain
from benchmarks.evaluator.networks import FASHION, build
from benchmarks.evaluator.timing import Task, fastest, seconds_of
from nemo_lab._torch import torch_threads

EVERY, FORWARDS = 25, 3  # candidates between plain forwards, and how many of these
SEARCH = "the search"
MODES = {  # title -> (kept_mb, results of earlier configurations remembered)
    "again, as it is": (128.0, True),
    "again, without kept activations": (0.0, True),
    "again, without the memory of results": (128.0, False),
    "again, with neither": (0.0, False),
}


@dataclass(frozen=True)
class Found:
    """A search, or the same configurations once more.

    Attributes:
        ratio: seconds in ``evaluate`` for a candidate, over those of a plain forward of the same time.
        milliseconds: in ``evaluate`` for a candidate, and of a plain forward, means.
        kept_mb: activations and quantized weights in memory at the end.
    """

    ratio: float
    milliseconds: tuple[float, float]
    kept_mb: tuple[float, float]


class Stopwatch:
    """The problem, with a clock around ``evaluate`` and plain forwards in between."""

    def __init__(self, problem: nl.QuantizationProblem, forward: Task, remember: bool = True) -> None:
        self.problem, self.forward, self.remember = problem, forward, remember
        self.bits: list[NDArray[np.uint8]] = []
        self.errors: list[NDArray[np.float64]] = []
        self.spent: list[float] = []
        self.plain: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.problem, name)

    def evaluate(self, bits: Any) -> NDArray[np.float64]:
        """The problem's own."""
        if len(self.spent) % EVERY == 0:
            with torch_threads(1):
                self.plain.append(statistics.mean(seconds_of(self.forward) for _ in range(FORWARDS)))
        if not self.remember:
            self.problem._found.clear()
        self.spent.append(seconds_of(lambda: self.errors.append(self.problem.evaluate(bits))))
        self.bits.append(np.array(bits, dtype=np.uint8).reshape(-1))
        return self.errors[-1]

    @property
    def repeated(self) -> int:
        """Configurations that had been evaluated before."""
        return len(self.bits) - len({row.tobytes() for row in self.bits})

    def result(self) -> Found:
        """What was measured; each stretch is held against the plain forwards at its start."""
        spent, network = np.array(self.spent), self.problem._network
        forward = np.repeat(self.plain, EVERY)[: len(spent)]
        return Found(
            ratio=float(spent.sum() / forward.sum()),
            milliseconds=(1000 * float(spent.mean()), 1000 * float(forward.mean())),
            kept_mb=(network.kept.bytes / 1e6, network.weights.bytes / 1e6),
        )


def measure(evaluations: int) -> tuple[dict[str, Found], int]:
    """A search on ``fashion``, seed 0, and its configurations once more in every mode, in turns.

    Returns:
        what was found, the search itself as the first, and the number of repeated configurations.
    """
    timed = build(FASHION)
    with torch_threads(1):
        ways = plain(timed)
        forward = ways[fastest(ways, 3)]
    workload = nl.load_workload(FASHION)
    real = Stopwatch(nl.QuantizationProblem(workload, threads=1), forward)
    nl.create_study(real, seed=0).optimize(evaluations, progress=False)
    replays = {
        mode: Stopwatch(nl.QuantizationProblem(workload, kept_mb=kept_mb, threads=1), forward, remember)
        for mode, (kept_mb, remember) in MODES.items()
    }
    for bits, expected in zip(real.bits, real.errors, strict=True):
        for mode, replay in replays.items():
            if not np.array_equal(replay.evaluate(bits), expected):
                raise RuntimeError(f"{mode}: memory changed a result")
    found = {SEARCH: real.result()} | {mode: replay.result() for mode, replay in replays.items()}
    return found, real.repeated


def section(found: dict[str, Found], repeated: int, evaluations: int) -> str:
    """The section of the page."""
    whole = found[SEARCH]
    lines = [
        f"## A search of {evaluations} evaluations on `fashion`",
        "",
        f"`create_study(problem, seed=0).optimize({evaluations})`. Time inside `problem.evaluate` divided by "
        "the number of evaluations, over the plain FP32 forward of the same 512 images at its fastest batch "
        f"size, which is taken again every {EVERY} candidates (mean of {FORWARDS}) and follows the machine's "
        "drift. The problem's settings are its defaults, on one thread. Below the search: its configurations "
        "evaluated once more, candidate by candidate in every mode in turns. All results were the same.",
        "",
        "| | per candidate / plain forward | ms per candidate | plain forward, ms |",
        "|---|---|---|---|",
        *(
            f"| {mode} | {one.ratio:.2f} | {one.milliseconds[0]:.1f} | {one.milliseconds[1]:.1f} |"
            for mode, one in found.items()
        ),
        "",
        f"{repeated} of {evaluations} configurations were repeated. In memory at the end of the search: "
        f"{whole.kept_mb[0]:.0f} MB of activations, {whole.kept_mb[1]:.1f} MB of quantized weights.",
        "",
        f"Goal: at most 0.7 of a plain forward for a candidate. Measured {whole.ratio:.2f}: "
        f"**{'met' if whole.ratio <= 0.7 else 'not met'}**.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(section(*measure(500), 500))
