"""Examples as people have them: splits, arrays, tensors or loaders, checked and cut into batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nemo_lab.errors import ArgumentError, DataError
from nemo_lab.workload.records import Split
from nemo_lab.workload.workload import Workload

INPUTS_AND_LABELS = "give a Split, a pair (inputs, labels), or a loader of such pairs"


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs of one network, and labels where there are some.

    Attributes:
        inputs: Tensor[N, ...] in the type that the network takes.
        labels: int64[N] or whatever a metric of one's own wants, [N, ...]; None without labels.
    """

    inputs: Tensor
    labels: Tensor | None

    def __len__(self) -> int:
        return len(self.inputs)

    def batches(self, size: int) -> list[tuple[Tensor, Tensor | None]]:
        """Cut into batches of ``size``, the last may be smaller."""
        parts = self.inputs.split(size)
        labels = [None] * len(parts) if self.labels is None else self.labels.split(size)
        return list(zip(parts, labels, strict=True))


def as_examples(data: Any, workload: Workload, what: str, *, labelled: bool = True) -> Examples:
    """Examples from a split, a pair (inputs, labels), inputs alone, or a loader of batches of these.

    Args:
        data: what a user passed.
        workload: whose network takes them.
        what: their name in messages.
        labelled: whether labels must be there; if not, inputs alone will do.

    Raises:
        DataError: if they are empty, of another shape than the network was traced with, not finite,
            or without the labels that are needed.
    """
    inputs, labels = _parts(data, what, labelled)
    tensor = _checked(inputs, workload, what)
    if labels is not None and len(labels) != len(tensor):
        raise DataError(f"{len(tensor)} inputs but {len(labels)} labels", "give one label per input")
    return Examples(tensor, labels)


def _parts(data: Any, what: str, labelled: bool) -> tuple[Tensor, Tensor | None]:
    if isinstance(data, Split):
        return _tensor(data.inputs, what), _tensor(data.labels, "labels")
    if isinstance(data, tuple | list) and len(data) == 2 and not _is_batch(data[0]):
        return _tensor(data[0], what), _tensor(data[1], "labels")
    if isinstance(data, Tensor | np.ndarray):
        if labelled:
            raise DataError(f"{what} has no labels", INPUTS_AND_LABELS)
        return _tensor(data, what), None
    if isinstance(data, str | bytes | dict) or not isinstance(data, Iterable):
        raise DataError(f"{what} is a {type(data).__name__}", INPUTS_AND_LABELS)
    batches = [
        _parts(tuple(batch) if isinstance(batch, list) else batch, what, labelled)
        if not (isinstance(batch, tuple | list) and len(batch) == 1)
        else _parts(batch[0], what, labelled)
        for batch in data
    ]
    if not batches:
        raise DataError(f"{what} is empty", "give at least one batch of examples")
    labels = [found for _, found in batches if found is not None]
    return torch.cat([found for found, _ in batches]), torch.cat(labels) if labels else None


def _is_batch(value: Any) -> bool:
    """Whether a member of a pair is itself (inputs, labels), so that the pair is a list of batches."""
    return isinstance(value, tuple | list) and len(value) == 2 and isinstance(value[0], Tensor | np.ndarray)


def _tensor(values: Any, what: str) -> Tensor:
    if isinstance(values, Tensor):
        return values.detach()
    try:
        array = np.asarray(values)
        return torch.from_numpy(array if array.flags.writeable else array.copy())
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} cannot be turned into a tensor: {error}", "give numbers") from error


def _checked(inputs: Tensor, workload: Workload, what: str) -> Tensor:
    if len(workload.example_shapes) != 1:
        raise DataError(
            f"{workload.name!r} takes {len(workload.example_shapes)} tensors, a problem feeds one",
            "wrap the network in a module that takes one tensor and makes the others of it",
        )
    expected = workload.example_shapes[0][1:]
    if inputs.ndim < 2 or len(inputs) == 0:
        raise DataError(f"{what} has shape {tuple(inputs.shape)}", "give at least one example, [N, ...]")
    if inputs.shape[1:] != expected:
        raise DataError(
            f"an example of {what} has shape {tuple(inputs.shape[1:])}",
            f"the network was traced with {expected}",
        )
    (taken,) = (
        n.meta["dtype"] for n in workload.graph.graph.nodes if n.op == "placeholder" and "dtype" in n.meta
    )
    if not taken.is_floating_point:
        return inputs.to(taken)
    inputs = inputs.to(torch.float32)
    if not bool(torch.isfinite(inputs).all()):
        bad = int(torch.nonzero(~torch.isfinite(inputs).reshape(len(inputs), -1).all(1))[0])
        raise DataError(f"{what} has NaN or infinity, first in example {bad}", "remove such examples")
    return inputs


def shipped(workload: Workload, split: str) -> Split:
    """The images that came with a workload.

    Raises:
        DataError: if none did.
    """
    if workload.data is None:
        raise DataError(
            f"workload {workload.name!r} came without data",
            "pass calibration= (inputs) and data= (inputs, labels)",
        )
    found: Split = getattr(workload.data, split)
    return found


def checked_widths(bit_widths: Sequence[int]) -> tuple[int, ...]:
    """The widths to choose from.

    Raises:
        ArgumentError: unless they are ascending whole numbers, each 2 to 16.
    """
    widths = tuple(int(width) for width in bit_widths)
    whole = all(given == width for given, width in zip(bit_widths, widths, strict=True))
    if (
        not whole
        or not widths
        or list(widths) != sorted(set(widths))
        or not 2 <= widths[0] <= widths[-1] <= 16
    ):
        raise ArgumentError(
            f"bit_widths {tuple(bit_widths)} cannot be used", "give ascending whole numbers, each 2 to 16"
        )
    return widths
