"""Whether a file computes what was searched: it is read again and run, and its numbers are compared."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils import _pytree as pytree

from nemo_lab.errors import VerificationError
from nemo_lab.export.onnx_runtime import Session
from nemo_lab.export.openvino_runtime import OpenVinoSession, is_there
from nemo_lab.quantize import QuantizationProblem
from nemo_lab.quantize.evaluation import Task
from nemo_lab.quantize.network import QuantizedNetwork
from nemo_lab.quantize.scores import scores
from nemo_lab.workload.records import FULL_PRECISION

SAME = 1e-4  # of the range of all outputs: what floating point adds in another order
NEAR = 1e-3  # steps from where rounding goes the other way ...
RESOLVED = 2.0**-23  # ... or this share of all integers of a width, of which float32 knows no finer parts
FLIPPED = 0.01  # of all predictions at most

Floats = NDArray[np.float32]
AnySession = Session | OpenVinoSession


@dataclass(frozen=True)
class Run:
    """How a runtime's numbers compare with those of the search.

    Attributes:
        runtime: its name and version.
        optimized: whether it ran by its default settings, or with all optimisations off.
        difference: the largest between two outputs, as a share of the range of all.
        agreement: share of predictions that are the same; NaN where outputs are other than scores of classes.
        flips: of each other prediction its place among all, and the margin it had: by how much the best score
            was above that of what the file says, as a share of the range.
        integers: operations of the graph that compute with integers, as the runtime has rearranged it.
    """

    runtime: str
    optimized: bool
    difference: float
    agreement: float
    flips: tuple[tuple[int, float], ...]
    integers: int


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
        run = _compared(session, expected, found, at)
        if run.difference > SAME or run.agreement < 1 - FLIPPED:
            _check_rounding(opened, path, network, task, run)
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


def _compared(
    session: AnySession,
    expected: Sequence[Sequence[Floats]],
    found: Sequence[Sequence[Floats]],
    at: int | None,
) -> Run:
    difference = 0.0
    for place in range(len(expected[0])):
        wanted, got = ([part[place] for part in parts] for parts in (expected, found))
        if [part.shape for part in wanted] != [part.shape for part in got]:
            raise VerificationError(
                "the file gives other shapes than the network", "keep to quantized_module"
            )
        flat = (
            np.concatenate([part.astype(np.float64).reshape(-1) for part in parts]) for parts in (wanted, got)
        )
        difference = max(difference, _difference(*flat))
    agreement, flips = float("nan"), tuple[tuple[int, float], ...]()
    if at is not None:
        one, other = (np.concatenate([_rows(part[at]) for part in parts]) for parts in (expected, found))
        agreement, flips = _flips(one, other)
    return Run(session.name, session.optimized, difference, agreement, flips, session.integers)


def _difference(wanted: NDArray[np.float64], got: NDArray[np.float64]) -> float:
    """The largest between two numbers as a share of the range; infinite where one alone is not finite."""
    finite = np.isfinite(wanted)
    if (
        not np.array_equal(wanted[~finite], got[~finite], equal_nan=True)
        or not np.isfinite(got[finite]).all()
    ):
        return float("inf")
    if not finite.any():
        return 0.0
    return float(np.abs(wanted[finite] - got[finite]).max() / (np.ptp(wanted[finite]) or 1.0))


def _rows(found: Floats) -> Floats:
    return found.reshape(-1, found.shape[-1])


def _flips(wanted: Floats, got: Floats) -> tuple[float, tuple[tuple[int, float], ...]]:
    said, says = wanted.argmax(1), got.argmax(1)
    places = np.flatnonzero(said != says)
    margins = (wanted[places, said[places]] - wanted[places, says[places]]) / (float(np.ptp(wanted)) or 1.0)
    flips = zip(places.tolist(), margins.tolist(), strict=True)
    return 1 - len(places) / len(wanted), tuple(flips)


def _check_rounding(
    opened: Callable[..., AnySession], path: Path, network: QuantizedNetwork, task: Task, run: Run
) -> None:
    """Whether the first numbers that are different lay on the border of two integers.

    Raises:
        VerificationError: if they did not, or too many predictions are others.
    """
    names = list(network.activations)
    where = "by default settings" if run.optimized else "with optimisations off"
    session = opened(path, also=names)
    for number, (inputs, _, _) in enumerate(task.batches):
        found = dict(zip(names, session.run(inputs)[-len(names) :], strict=True))
        for name, before, after in _rounded(network, inputs, number):
            bits = network.widths[name] or FULL_PRECISION
            scale, near = network.ranges[name].quantizer(bits).scale, max(NEAR, 2**bits * RESOLVED)
            apart = np.abs(after - found[name].reshape(after.shape)) > scale / 2
            if not apart.any():
                continue
            steps = before[apart] / scale
            border = np.abs(np.abs(steps - np.floor(steps)) - 0.5)
            if border.max() > near or run.agreement < 1 - FLIPPED:
                raise VerificationError(
                    f"{path.name} does not compute what was searched, in {run.runtime} {where}: "
                    f"{int(apart.sum())} numbers of {name} are others, up to {border.max():.3f} steps from "
                    f"where they are rounded; {100 * run.agreement:.2f} % of predictions agree",
                    "write it with another version of the runtime, or keep to quantized_module",
                )
            return  # what comes behind is different because of this
    raise VerificationError(
        f"{path.name} does not compute what was searched, in {run.runtime} {where}: outputs differ by "
        f"{run.difference:.1e} of their range, behind the last number that is rounded",
        "write it with another version of the runtime, or keep to quantized_module",
    )


def _rounded(
    network: QuantizedNetwork, inputs: tuple[Tensor, ...], number: int
) -> Iterator[tuple[str, Floats, Floats]]:
    """Every activation in the order of the network, before and after it is rounded."""
    seen: list[tuple[str, Floats, Floats]] = []
    handles = []
    for name, module in network.activations.items():

        def see(_: Any, args: Any, result: Tensor, name: str = name) -> None:
            seen[-1] = (name, seen[-1][1], result.detach().cpu().numpy().copy())

        def keep(_: Any, args: Any, name: str = name) -> None:
            seen.append((name, args[0].detach().cpu().numpy().copy(), np.empty(0, dtype=np.float32)))

        handles += [module.register_forward_pre_hook(keep), module.register_forward_hook(see)]
    try:
        network(inputs, number)
    finally:
        for handle in handles:
            handle.remove()
    yield from seen
