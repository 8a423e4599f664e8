"""How the numbers of a runtime compare with those of the search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nemo_lab.errors import VerificationError
from nemo_lab.export.onnx_runtime import Session
from nemo_lab.export.openvino_runtime import OpenVinoSession

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


def compared(
    session: AnySession,
    expected: Sequence[Sequence[Floats]],
    found: Sequence[Sequence[Floats]],
    at: int | None,
) -> Run:
    """Compare all outputs of all batches.

    Args:
        session: that gave them.
        expected: the outputs of the search, of each batch.
        found: those of the runtime.
        at: which output holds scores of classes, if one does.

    Raises:
        VerificationError: if their shapes are others.
    """
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
