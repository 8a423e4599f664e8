"""How long a file takes beside the file of the same network in float32."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

from torch import Tensor

from nemo_lab.export.comparing import Runtime
from nemo_lab.interruption import check_interrupted

EXAMPLES, TURNS, SECONDS = 8, 15, 3.0  # at most; of three turns at least


def share_of_time(
    opened: Callable[[Path], Runtime], path: Path, full: Path, inputs: Sequence[Tensor]
) -> float:
    """Time of a file as a share of that of the other, by turns in one runtime: medians of a few examples.

    Args:
        opened: what opens a file.
        path: of the file.
        full: of that in float32.
        inputs: a batch, of which the first eight examples are run.

    Raises:
        VerificationError: if one of them does not run.
        Interrupted: see ``check_interrupted``.
    """
    few = [tensor[:EXAMPLES] for tensor in inputs]
    runtimes = [opened(one) for one in (path, full)]
    times: tuple[list[float], list[float]] = ([], [])
    for runtime in runtimes:
        runtime.run(few)  # the first time is another
    begun = perf_counter()
    while len(times[0]) < 3 or (len(times[0]) < TURNS and perf_counter() - begun < SECONDS):
        check_interrupted()
        turn = zip(runtimes, times, strict=True)
        for runtime, taken in turn if len(times[0]) % 2 else reversed(list(turn)):
            begin = perf_counter()
            runtime.run(few)
            taken.append(perf_counter() - begin)
    return statistics.median(times[0]) / statistics.median(times[1])
