"""Whether a file computes what was searched: it is read again and run, and its numbers are compared."""

from __future__ import annotations

import dataclasses
import functools
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nemo_lab.errors import VerificationError
from nemo_lab.export.borders import check_rounding
from nemo_lab.export.comparing import SAME, Expected, Run, Runtime, compared
from nemo_lab.export.runtimes.onnx_alone import check_survives
from nemo_lab.export.runtimes.onnx_runtime import Session
from nemo_lab.export.runtimes.openvino_runtime import OpenVinoSession, is_there
from nemo_lab.export.runtimes.timing import share_of_time
from nemo_lab.quantize.evaluation import Task
from nemo_lab.quantize.network import QuantizedNetwork


@dataclass(frozen=True)
class Verification:
    """What came of running a file.

    Attributes:
        path: of the file.
        bytes: its size.
        examples: how many were run.
        runs: of ONNX, with optimisations off, and by default settings, in OpenVINO, too, where it is
            installed; of torch, one.
    """

    path: Path
    bytes: int
    examples: int
    runs: tuple[Run, ...]

    def __str__(self) -> str:
        lines = [f"{self.path.name}: {self.bytes:,} bytes, {self.examples} examples"]
        for run in self.runs:
            how = "default" if run.optimized else "optimisations off"
            agrees = "" if np.isnan(run.agreement) else f", {100 * run.agreement:.2f} % of predictions agree"
            many = f", {run.integers} operation{'' if run.integers == 1 else 's'} in integers"
            lines.append(
                f"  {run.runtime}, {how}: largest difference {run.difference:.1e} of the range{agrees}"
                f"{many if run.optimized else ''}"
                f"{'' if run.time is None else f', {run.time:.2f} times the time of float32 (one thread)'}"
            )
        return "\n".join(lines)


def verified(
    path: str | os.PathLike[str],
    network: QuantizedNetwork,
    task: Task,
    *,
    optimized: Sequence[bool] = (False, True),
    full: bytes | None = None,
) -> Verification:
    """Run a file on all examples, and hold it against the network that it was made of.

    Floating point adds in another order in another runtime, so a number that lies on the border of two
    integers may be rounded the other way, and everything behind it is then a little different: such a
    difference is counted, and told of. Any other is an error.

    Args:
        path: of the file.
        network: set to the widths of the file.
        task: the examples.
        optimized: False to run it with all optimisations off, True by default settings: in OpenVINO, too,
            where it is installed.
        full: the model in float32, whose time is that by which those of default settings are measured.

    Raises:
        VerificationError: if the file computes anything else; it names the first layer that does.
        ArgumentError: if a library is missing.
    """
    path = Path(path)
    check_survives(path.read_bytes(), path.name, task.batches[0][0])
    expected, runs = Expected.of(lambda inputs, n: network(network.prepare(inputs), n), task), []
    for opened in _runtimes(optimized):
        run = compared(opened(path), expected, task)
        if run.difference > SAME:  # else other predictions are ties, but for floating point
            check_rounding(opened, path, network, task, run)
        if run.optimized and full is not None:
            run = dataclasses.replace(run, time=_time(opened, path, full, task))
        runs.append(run)
    return Verification(path, path.stat().st_size, task.count, tuple(runs))


def _time(opened: Callable[..., Runtime], path: Path, full: bytes, task: Task) -> float | None:
    """Of a file beside that in float32; None where the latter does not run."""
    inputs = task.batches[0][0]
    with suppress(VerificationError), tempfile.TemporaryDirectory(prefix="nemo_lab-") as folder:
        check_survives(full, "the network in float32", inputs)
        other = Path(folder, "float32.onnx")
        other.write_bytes(full)
        return share_of_time(opened, path, other, inputs)
    return None


def _runtimes(optimized: Sequence[bool]) -> Iterator[Callable[..., Runtime]]:
    """What opens a file in each runtime that is there, one after the other."""
    for by_default in optimized:
        yield functools.partial(Session, optimized=by_default)
    if True in optimized and is_there():
        yield OpenVinoSession
