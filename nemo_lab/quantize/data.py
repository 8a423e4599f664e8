"""Examples as people have them: splits, arrays, tensors or loaders, checked and cut into batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from nemo_lab.errors import DataError
from nemo_lab.quantize.tensors import as_input, as_tensor, is_array
from nemo_lab.workload.inputs import Inputs
from nemo_lab.workload.records import Split
from nemo_lab.workload.workload import Workload

INPUTS_AND_LABELS = "give a Split, a pair (inputs, labels), or a loader of such pairs"
NO_LABELS = f'{INPUTS_AND_LABELS}; or measure what needs none: metric="kl", or "agreement"'
INPUTS_ALONE = "give inputs [N, ...], a Split, or a loader of batches"
LABEL_KEYS = ("labels", "label")

Labels = Literal["needed", "taken", "ignored"]


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs of one network, and labels where there are some.

    Attributes:
        inputs: each Tensor[N, ...] in the type that the network takes, in the order of ``Inputs.leaves``.
        labels: int64[N] or whatever a metric of one's own wants, [N, ...]; None without labels.
    """

    inputs: tuple[Tensor, ...]
    labels: Tensor | None

    def __len__(self) -> int:
        return len(self.inputs[0])

    def batches(self, size: int, least: int = 2) -> list[Examples]:
        """Cut into batches of ``size``; what is left over is one, too, or joins the last if it is too small.

        Args:
            size: examples in a batch.
            least: of them in the last batch; of one alone many a network drops the axis of the batch.
        """
        sizes = [len(part) for part in torch.arange(len(self)).split(size)]
        if len(sizes) > 1 and sizes[-1] < min(least, size):
            left_over = sizes.pop()
            sizes[-1] += left_over
        labels = [None] * len(sizes) if self.labels is None else self.labels.split(sizes)
        parts = zip(*(tensor.split(sizes) for tensor in self.inputs), strict=True)
        return [Examples(part, given) for part, given in zip(parts, labels, strict=True)]


def as_examples(data: Any, workload: Workload, what: str, labels: Labels = "needed") -> Examples:
    """Examples from a split, a pair (inputs, labels), inputs alone, or a loader of batches of these.

    A batch of a network that takes several tensors is a dictionary of them by the names of forward's
    parameters, or a tuple in their order; labels come last, or in a dictionary as ``"labels"``. Two tensors
    in a tuple are a pair (inputs, labels) of a network that takes one. In a list they are, too, unless the
    second could be a batch of inputs by its shape: then they are two batches without labels.

    Args:
        data: what a user passed, or what this function gave before.
        workload: whose network takes them.
        what: their name in messages.
        labels: whether they must be there, may be, or are not looked at.

    Raises:
        DataError: if they are empty, of another shape or type than the network takes, not finite, or
            without the labels that are needed.
    """
    if not workload.inputs.leaves:
        raise DataError(f"{workload.name!r} takes no batches", "trace it with a batch of inputs, [N, ...]")
    if isinstance(data, Examples):  # checked before
        if labels == "needed" and data.labels is None:
            raise DataError(f"{what} has no labels", NO_LABELS)
        return data
    batches = _batches(data, workload.inputs, what, labels)
    parts = [_part(batch, workload, what, labels) for batch in batches]
    if not parts:
        raise DataError(f"{what} is empty", "give at least one batch of examples")
    found = [part.labels for part in parts if part.labels is not None]
    if found and len(found) < len(parts):
        raise DataError(f"only {len(found)} of {len(parts)} batches of {what} have labels", INPUTS_AND_LABELS)
    if len({given.shape[1:] for given in found}) > 1:
        raise DataError(f"labels of {what} have several shapes", "give labels of one shape")
    tensors = tuple(map(torch.cat, zip(*(part.inputs for part in parts), strict=True)))
    if len(tensors[0]) == 0:
        raise DataError(f"{what} has shape {tuple(tensors[0].shape)}", "give at least one example, [N, ...]")
    for tensor, leaf in zip(tensors, workload.inputs.leaves, strict=True):
        wrong = tensor.isnan() if leaf.infinite else ~tensor.isfinite()
        if bool(wrong.any()):
            bad = int(torch.nonzero(wrong.reshape(len(tensor), -1).any(1))[0])
            name = what if workload.inputs.plain else f"{leaf.name} of {what}"
            mask = "" if bool(tensor.isnan().any()) else ", or trace it with infinities if it is a mask"
            raise DataError(
                f"{name} has NaN or infinity, first in example {bad}", f"remove such examples{mask}"
            )
    return Examples(tensors, torch.cat(found) if found else None)


def _batches(data: Any, inputs: Inputs, what: str, labels: Labels) -> Iterable[Any]:
    """What a user passed, as batches: each is inputs, or holds inputs and labels."""
    if isinstance(data, Split):
        return [(data.inputs, data.labels)]
    if is_array(data) or isinstance(data, Mapping):
        return [data]
    hint = INPUTS_ALONE if labels == "ignored" else INPUTS_AND_LABELS
    if isinstance(data, str | bytes) or not isinstance(data, Iterable):
        raise DataError(f"{what} is a {type(data).__name__}", hint)
    batches: Iterable[Any] = data
    if not isinstance(data, tuple | list):
        return batches
    if not inputs.plain:
        whole = isinstance(data, tuple) or not all(isinstance(one, tuple | list | Mapping) for one in data)
        return [data] if whole else batches
    if isinstance(data, tuple) and (_is_pair(data) or inputs.apart(data) is not None):
        return [data]
    expected = inputs.leaves[0].shape
    if not _holds_batches(data, len(expected) + 1):
        like_inputs = [np.shape(member)[1:] == expected for member in data if is_array(member)]
        if len(data) == 2 and not (isinstance(data, list) and like_inputs == [True, True]):
            return [tuple(data)]
        if isinstance(data, tuple) and like_inputs and not all(like_inputs):
            raise DataError(f"{what} is a tuple of {len(data)}", hint)
    return batches


def _is_pair(data: Sequence[Any]) -> bool:
    """Whether it is arguments of ``forward`` in a dictionary or a tuple, and labels."""
    return len(data) == 2 and isinstance(data[0], tuple | Mapping) and is_array(data[1])


def _holds_batches(data: Sequence[Any], ndim: int) -> bool:
    """Whether the members are batches of one tensor, by the first one; a list may be the inputs."""
    first = data[0] if data else None
    if isinstance(first, list):
        return len(first) > 0 and is_array(first[0]) and first[0].ndim == ndim
    return isinstance(first, tuple | Mapping)


def _part(batch: Any, workload: Workload, what: str, labels: Labels) -> Examples:
    """One batch, checked."""
    tensors, given = _apart(batch, workload.inputs, what)
    inputs = tuple(
        as_input(as_tensor(one, what), leaf, workload, what)
        for one, leaf in zip(tensors, workload.inputs.leaves, strict=True)
    )
    for tensor, leaf in zip(inputs, workload.inputs.leaves, strict=True):
        if len(tensor) != len(inputs[0]):
            first = workload.inputs.leaves[0].name
            raise DataError(
                f"a batch of {what} has {len(inputs[0])} examples of {first}, {len(tensor)} of {leaf.name}",
                "give as many of each",
            )
    if labels == "ignored" or (given is None and labels == "taken"):
        return Examples(inputs, None)
    if given is None:
        raise DataError(f"{what} has no labels", NO_LABELS)
    marks = as_tensor(given, f"the labels of {what}")
    if marks.ndim == 0:
        raise DataError(f"the labels of {what} are a single number", "give one label per input, [N]")
    if len(marks) != len(inputs[0]):
        raise DataError(f"{len(inputs[0])} inputs but {len(marks)} labels", "give one label per input")
    return Examples(inputs, marks)


def _apart(batch: Any, inputs: Inputs, what: str) -> tuple[list[Any], Any]:
    """The tensors of a batch, and its labels; None if it has none."""
    members = list(batch) if isinstance(batch, tuple | list) else [batch]
    nested = any(isinstance(member, Mapping | tuple | str | bytes) for member in members[:1])
    if inputs.plain and not nested and 1 <= len(members) <= 2:
        return members[:1], members[1] if len(members) == 2 else None
    found = inputs.apart(batch)
    if found is not None:
        return found, None
    if isinstance(batch, Mapping):
        rest = {name: value for name, value in batch.items() if name not in LABEL_KEYS}
        found = inputs.apart(rest)
        if found is not None:
            return found, next(batch[key] for key in LABEL_KEYS if key in batch)
    elif len(members) > 1:
        found = inputs.apart(members[0] if len(members) == 2 else members[:-1])
        if found is not None:
            return found, members[-1]
    several = f"give {inputs.described()}"
    hint = "give batches that are inputs, or (inputs, labels)" if inputs.plain else several
    raise DataError(f"a batch of {what} is {_described(batch)}", hint)


def _described(batch: Any) -> str:
    if isinstance(batch, Mapping):
        return f"a dictionary with the keys {', '.join(map(str, batch))}"
    kind = f"a {type(batch).__name__}"
    return f"{kind} of {len(batch)}" if isinstance(batch, tuple | list) else kind


def given(data: Any, workload: Workload, argument: Literal["calibration", "data"]) -> Any:
    """What was passed as an argument; on None the images that came with the workload.

    Raises:
        DataError: if none did.
    """
    if data is not None:
        return data
    if workload.data is None:
        inputs = "inputs" if argument == "calibration" else "(inputs, labels)"
        raise DataError(
            f"workload {workload.name!r} came without data, and {argument}= is missing",
            f"pass {argument}={inputs}",
        )
    return workload.data.calibration if argument == "calibration" else workload.data.search
