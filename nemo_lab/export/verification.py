"""Whether a file computes what was searched: it is read again and run, and its numbers are compared."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils import _pytree as pytree

from nemo_lab.errors import VerificationError
from nemo_lab.export.onnx_runtime import Session
from nemo_lab.quantize.evaluation import Task
from nemo_lab.quantize.network import QuantizedNetwork
from nemo_lab.quantize.scores import scores
from nemo_lab.workload.records import FULL_PRECISION

SAME = 1e-4  # of the range of all outputs: what floating point adds in another order
NEAR = 1e-3  # steps from where rounding goes the other way
FLIPPED = 0.01  # of all predictions at most

Floats = NDArray[np.float32]


class Runtime(Protocol):
    """What runs a file, and says its name, whether it optimises, and how many operations are in integers."""

    name: str
    optimized: bool
    integers: int

    def run(self, inputs: Sequence[Tensor]) -> list[Any]:
        """The tensors that come out for a batch."""


@dataclass(frozen=True, eq=False)
class Expected:
    """What is to come out: the tensors for each batch, and which of them are scores of classes, if any."""

    outputs: Sequence[Sequence[Floats]]
    at: int | None

    @classmethod
    def of(cls, network: Callable[[tuple[Tensor, ...], int], Any], task: Task) -> Expected:
        """What a network gives, called with a batch and its number."""
        outputs = [network(inputs, number) for number, (inputs, _, _) in enumerate(task.batches)]
        classes = any(metric.classes for metric in task.metrics)
        return cls([leaves(one) for one in outputs], _place_of_scores(outputs[0]) if classes else None)


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
        runs: of ONNX, with optimisations off, and by default settings; of torch, one.
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


def verified(path: str | os.PathLike[str], network: QuantizedNetwork, task: Task) -> Verification:
    """Run a file on all examples, and hold it against the network that it was made of.

    Floating point adds in another order in another runtime, so a number that lies on the border of two
    integers may be rounded the other way, and everything behind it is then a little different: such a
    difference is counted, and told of. Any other is an error.

    Args:
        path: of the file.
        network: set to the widths of the file.
        task: the examples.

    Raises:
        VerificationError: if the file computes anything else; it names the first layer that does.
        ArgumentError: if a library is missing.
    """
    path = Path(path)
    expected, runs = Expected.of(lambda inputs, n: network(network.prepare(inputs), n), task), []
    for optimized in (False, True):
        session = Session(path, optimized=optimized)
        run = compared(session, expected, task)
        if run.difference > SAME or run.agreement < 1 - FLIPPED:
            _check_rounding(path, network, task, run)
        runs.append(run)
    return Verification(path, path.stat().st_size, task.count, tuple(runs))


def leaves(outputs: Any) -> list[Floats]:
    """The tensors that a network gives, in order."""
    tensors = (leaf for leaf in pytree.tree_leaves(outputs) if isinstance(leaf, Tensor))
    return [leaf.detach().cpu().numpy() for leaf in tensors]


def _place_of_scores(outputs: Any) -> int:
    tensors, best = [x for x in pytree.tree_leaves(outputs) if isinstance(x, Tensor)], scores(outputs)
    return next(place for place, leaf in enumerate(tensors) if leaf is best)


def compared(runtime: Runtime, expected: Expected, task: Task) -> Run:
    """Run a file on all examples; says how far that is from what is expected, whatever it is.

    Raises:
        VerificationError: if it gives tensors of other shapes, or does not run.
    """
    found = [runtime.run(inputs) for inputs, _, _ in task.batches]
    difference = 0.0
    for place in range(len(expected.outputs[0])):
        wanted, got = ([part[place] for part in parts] for parts in (expected.outputs, found))
        if [part.shape for part in wanted] != [part.shape for part in got]:
            raise VerificationError(
                "the file gives other shapes than the network", "keep to quantized_module"
            )
        flat = (
            np.concatenate([part.astype(np.float64).reshape(-1) for part in parts]) for parts in (wanted, got)
        )
        difference = max(difference, _difference(*flat))
    agreement, flips = float("nan"), tuple[tuple[int, float], ...]()
    if expected.at is not None:
        pairs = ([_rows(part[expected.at]) for part in parts] for parts in (expected.outputs, found))
        one, other = map(np.concatenate, pairs)
        agreement, flips = _flips(one, other)
    return Run(runtime.name, runtime.optimized, difference, agreement, flips, runtime.integers)


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


def _check_rounding(path: Path, network: QuantizedNetwork, task: Task, run: Run) -> None:
    """Whether the first numbers that are different lay on the border of two integers.

    Raises:
        VerificationError: if they did not, or too many predictions are others.
    """
    names = list(network.activations)
    where = "by default settings" if run.optimized else "with optimisations off"
    session = Session(path, optimized=run.optimized, also=names)
    for number, (inputs, _, _) in enumerate(task.batches):
        found = dict(zip(names, session.run(inputs)[-len(names) :], strict=True))
        for name, before, after in _rounded(network, inputs, number):
            scale = network.ranges[name].quantizer(network.widths[name] or FULL_PRECISION).scale
            apart = np.abs(after - found[name].reshape(after.shape)) > scale / 2
            if not apart.any():
                continue
            steps = before[apart] / scale
            border = np.abs(np.abs(steps - np.floor(steps)) - 0.5)
            if border.max() > NEAR or run.agreement < 1 - FLIPPED:
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
        network(network.prepare(inputs), number)
    finally:
        for handle in handles:
            handle.remove()
    yield from seen
