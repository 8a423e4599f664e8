"""Times of things done in turns, so that a busy spell of the machine meets them all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Task = Callable[[], object]


@dataclass(frozen=True)
class Taken:
    """Seconds of a call: the best, and the median."""

    best: float
    median: float


def seconds_of(task: Task) -> float:
    """One call."""
    began = time.perf_counter()
    task()
    return time.perf_counter() - began


def in_turns(tasks: Mapping[str, Task], seconds: float, rounds: int = 7) -> dict[str, Taken]:
    """All tasks in turns: at least ``rounds`` rounds, and at least ``seconds``."""
    spent: dict[str, list[float]] = {name: [] for name in tasks}
    until = time.perf_counter() + seconds
    while len(min(spent.values(), key=len)) < rounds or time.perf_counter() < until:
        for name, task in tasks.items():
            spent[name].append(seconds_of(task))
    return {name: Taken(min(each), statistics.median(each)) for name, each in spent.items()}


def fastest(ways: Mapping[str, Task], seconds: float) -> str:
    """The name of the fastest of several ways, after a call of each to warm up."""
    for task in ways.values():
        task()
    taken = in_turns(ways, seconds, rounds=4)
    return min(taken, key=lambda name: taken[name].best)
