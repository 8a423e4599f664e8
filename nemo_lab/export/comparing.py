"""How the numbers of a runtime compare with those of the search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils import _pytree as pytree

from nemo_lab.errors import VerificationError
from nemo_lab.quantize.evaluation import Task
from nemo_lab.quantize.scores import scores

SAME = 1e-4  # of the range of all outputs: what floating point adds in another order
FLIPPED = 0.01  # of all predictions at most
FAR = 1e3  # of the median: larger numbers stand for something, such as a mask

Floats = NDArray[np.float32]


class Runtime(Protocol):
    """What runs a file, and says its name, whether it optimises, and what computes with integers."""

    name: str
    optimized: bool
    layers: Sequence[str]

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
        layers: what computes with integers, as the runtime has rearranged it: the path of a layer's weight,
            or the name of the operation.
        time: of a few examples, as a share of what the same network in float32 takes; None if not measured.
    """

    runtime: str
    optimized: bool
    difference: float
    agreement: float
    flips: tuple[tuple[int, float], ...]
    layers: tuple[str, ...]
    time: float | None = None

    @property
    def integers(self) -> int:
        """How many operations compute with integers."""
        return len(self.layers)


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
    real = [place for place, one in enumerate(expected.outputs[0]) if one.dtype.kind == "f"]
    for place in real or range(len(expected.outputs[0])):  # what follows from real numbers flips with them
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
    return Run(runtime.name, runtime.optimized, difference, agreement, flips, tuple(runtime.layers))


def _difference(wanted: NDArray[np.float64], got: NDArray[np.float64]) -> float:
    """The largest between two numbers as a share of the range; infinite where one alone is not finite.

    Numbers far from all others, such as those of masked places, are no part of the range, and compared as
    shares of themselves.
    """
    finite = np.isfinite(wanted)
    if (
        not np.array_equal(wanted[~finite], got[~finite], equal_nan=True)
        or not np.isfinite(got[finite]).all()
    ):
        return float("inf")
    wanted, got = wanted[finite], got[finite]
    sizes = np.abs(wanted)
    usual = sizes <= FAR * (np.median(sizes[sizes > 0]) if sizes.any() else 0.0)
    scale = float(np.ptp(wanted[usual])) if usual.any() else 0.0
    apart = np.abs(wanted - got) / np.where(usual, scale or 1.0, sizes)
    return float(apart.max(initial=0.0))


def _rows(found: Floats) -> Floats:
    return found.reshape(-1, found.shape[-1])


def _flips(wanted: Floats, got: Floats) -> tuple[float, tuple[tuple[int, float], ...]]:
    said, says = wanted.argmax(1), got.argmax(1)
    places = np.flatnonzero(said != says)
    margins = (wanted[places, said[places]] - wanted[places, says[places]]) / (float(np.ptp(wanted)) or 1.0)
    flips = zip(places.tolist(), margins.tolist(), strict=True)
    return 1 - len(places) / len(wanted), tuple(flips)
