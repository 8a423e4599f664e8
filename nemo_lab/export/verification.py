"""Whether a file computes what was searched: it is read again and run, and its numbers are compared."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils import _pytree as pytree

from nemo_lab.export.borders import FLIPPED, check_rounding
from nemo_lab.export.comparing import AnySession, Floats, Run, compared
from nemo_lab.export.onnx_runtime import Session
from nemo_lab.export.openvino_runtime import OpenVinoSession, is_there
from nemo_lab.quantize import QuantizationProblem
from nemo_lab.quantize.evaluation import Task
from nemo_lab.quantize.network import QuantizedNetwork
from nemo_lab.quantize.scores import scores

SAME = 1e-4  # of the range of all outputs: what floating point adds in another order


@dataclass(frozen=True)
class Verification:
    """What came of running a file.

    Attributes:
        path: of the file.
        bytes: its size.
        examples: how many were run.
        runs: with optimisations off, and by default settings; in OpenVINO, too, where it is installed.
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
            lines.append(
                f"  {run.runtime}, {how}: largest difference {run.difference:.1e} of the range{agrees}, "
                f"{run.integers} operations in integers"
            )
        return "\n".join(lines)


def examples(problem: QuantizationProblem) -> Task:
    """Those that the search has not seen, or its own where there are no others."""
    shipped = problem.workload.data
    unseen = problem.held_out if shipped is None or problem.held_out is not None else shipped.held_out
    return problem.task(unseen)


def verified(
    path: str | os.PathLike[str],
    network: QuantizedNetwork,
    task: Task,
    *,
    optimized: Sequence[bool] = (False, True),
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

    Raises:
        VerificationError: if the file computes anything else; it names the first layer that does.
        ArgumentError: if a library is missing.
    """
    path = Path(path)
    outputs = [network(inputs, number) for number, (inputs, _, _) in enumerate(task.batches)]
    expected = [_leaves(one) for one in outputs]
    classes = any(metric.classes for metric in task.metrics)
    at = _place_of_scores(outputs[0]) if classes else None
    runs = []
    for opened in _runtimes(optimized):
        session = opened(path)
        found = [session.run(inputs) for inputs, _, _ in task.batches]
        run = compared(session, expected, found, at)
        if run.difference > SAME or run.agreement < 1 - FLIPPED:
            check_rounding(opened, path, network, task, run)
        runs.append(run)
    return Verification(path, path.stat().st_size, task.count, tuple(runs))


def _runtimes(optimized: Sequence[bool]) -> Iterator[Callable[..., AnySession]]:
    """What opens a file in each runtime that is there, one after the other."""
    for by_default in optimized:
        yield functools.partial(Session, optimized=by_default)
    if True in optimized and is_there():
        yield OpenVinoSession


def _leaves(outputs: Any) -> list[Floats]:
    leaves = (leaf for leaf in pytree.tree_leaves(outputs) if isinstance(leaf, Tensor))
    return [leaf.detach().cpu().numpy() for leaf in leaves]


def _place_of_scores(outputs: Any) -> int:
    leaves, best = [x for x in pytree.tree_leaves(outputs) if isinstance(x, Tensor)], scores(outputs)
    return next(place for place, leaf in enumerate(leaves) if leaf is best)
