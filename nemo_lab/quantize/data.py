"""Examples as people have them: splits, arrays, tensors or loaders, checked and cut into batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, fx, nn

from nemo_lab.errors import DataError
from nemo_lab.workload.records import Split
from nemo_lab.workload.workload import Workload

INPUTS_AND_LABELS = "give a Split, a pair (inputs, labels), or a loader of such pairs"
INPUTS_ALONE = "give inputs [N, ...], a Split, or a loader of batches"
IN_BATCHES = "give batches [N, ...]: stack them, or use torch.utils.data.DataLoader"

WIDE_UNSIGNED = {torch.uint16, torch.uint32, torch.uint64}  # which torch hardly knows

Labels = Literal["needed", "taken", "ignored"]
Part = tuple[Tensor, Tensor | None]


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
        """Cut into batches of ``size``, the last may be smaller.

        It is not one example alone, of which many a network drops the axis of the batch: the last two share
        theirs then.
        """
        sizes = [len(part) for part in torch.arange(len(self)).split(size)]
        if len(sizes) > 1 and sizes[-1] == 1 < size:
            both = size + 1
            sizes[-2:] = [both - both // 2, both // 2]
        parts = self.inputs.split(sizes)
        labels = [None] * len(parts) if self.labels is None else self.labels.split(sizes)
        return list(zip(parts, labels, strict=True))


def as_examples(data: Any, workload: Workload, what: str, labels: Labels = "needed") -> Examples:
    """Examples from a split, a pair (inputs, labels), inputs alone, or a loader of batches of these.

    Two tensors in a tuple are a pair. In a list they are, too, unless the second could be a batch of inputs
    by its shape: then they are two batches without labels.

    Args:
        data: what a user passed.
        workload: whose network takes them.
        what: their name in messages.
        labels: whether they must be there, may be, or are not looked at.

    Raises:
        DataError: if they are empty, of another shape or type than the network takes, not finite, or
            without the labels that are needed.
    """
    if len(workload.example_shapes) != 1:
        raise DataError(
            f"{workload.name!r} takes {len(workload.example_shapes)} tensors, a problem feeds one",
            "wrap the network in a module that takes one tensor and makes the others of it",
        )
    batches = _batches(data, workload.example_shapes[0][1:], what, labels)
    parts = [_part(batch, workload, what, labels) for batch in batches]
    if not parts:
        raise DataError(f"{what} is empty", "give at least one batch of examples")
    found = [given for _, given in parts if given is not None]
    if found and len(found) < len(parts):
        raise DataError(f"only {len(found)} of {len(parts)} batches of {what} have labels", INPUTS_AND_LABELS)
    if len({given.shape[1:] for given in found}) > 1:
        raise DataError(f"labels of {what} have several shapes", "give labels of one shape")
    inputs = torch.cat([given for given, _ in parts])
    if len(inputs) == 0:
        raise DataError(f"{what} has shape {tuple(inputs.shape)}", "give at least one example, [N, ...]")
    if not bool(torch.isfinite(inputs).all()):
        bad = int(torch.nonzero(~torch.isfinite(inputs).reshape(len(inputs), -1).all(1))[0])
        raise DataError(f"{what} has NaN or infinity, first in example {bad}", "remove such examples")
    return Examples(inputs, torch.cat(found) if found else None)


def _batches(data: Any, expected: tuple[int, ...], what: str, labels: Labels) -> Iterable[Any]:
    """What a user passed, as batches: each is inputs, or holds inputs and labels."""
    if isinstance(data, Split):
        return [(data.inputs, data.labels)]
    if _is_array(data):
        return [data]
    hint = INPUTS_ALONE if labels == "ignored" else INPUTS_AND_LABELS
    if isinstance(data, str | bytes | dict) or not isinstance(data, Iterable):
        raise DataError(f"{what} is a {type(data).__name__}", hint)
    if isinstance(data, tuple | list) and not _holds_batches(data, len(expected) + 1):
        like_inputs = [np.shape(member)[1:] == expected for member in data if _is_array(member)]
        if len(data) == 2 and not (isinstance(data, list) and like_inputs == [True, True]):
            return [tuple(data)]
        if isinstance(data, tuple) and like_inputs and not all(like_inputs):
            raise DataError(f"{what} is a tuple of {len(data)}", hint)
    batches: Iterable[Any] = data
    return batches


def _part(batch: Any, workload: Workload, what: str, labels: Labels) -> Part:
    """One batch, checked."""
    members = tuple(batch) if isinstance(batch, tuple | list) else (batch,)
    if not 1 <= len(members) <= 2 or isinstance(batch, str | bytes | dict):
        kind = type(batch).__name__ + (f" of {len(members)}" if isinstance(batch, tuple | list) else "")
        raise DataError(f"a batch of {what} is a {kind}", "give batches that are inputs, or (inputs, labels)")
    inputs = _checked(_tensor(members[0], what), workload, what)
    if labels == "ignored" or (len(members) == 1 and labels == "taken"):
        return inputs, None
    if len(members) == 1:
        raise DataError(f"{what} has no labels", INPUTS_AND_LABELS)
    given = _tensor(members[1], f"the labels of {what}")
    if given.ndim == 0:
        raise DataError(f"the labels of {what} are a single number", "give one label per input, [N]")
    if len(given) != len(inputs):
        raise DataError(f"{len(inputs)} inputs but {len(given)} labels", "give one label per input")
    return inputs, given


def _holds_batches(data: Sequence[Any], ndim: int) -> bool:
    """Whether the members are (inputs,) or (inputs, labels), by the first one; a list may be the inputs."""
    first = data[0] if data else None
    if isinstance(first, list):
        return len(first) > 0 and _is_array(first[0]) and first[0].ndim == ndim
    return isinstance(first, tuple)


def _is_array(value: Any) -> bool:
    """Whether it is a tensor, an array, or a table."""
    return hasattr(value, "__array__")


def _tensor(values: Any, what: str) -> Tensor:
    """On the CPU, of a type that torch computes with."""
    try:
        if isinstance(values, list | tuple) and values and all(isinstance(v, Tensor) for v in values):
            values = torch.stack(tuple(values))
        if not isinstance(values, Tensor):
            array = np.asarray(values)
            values = torch.from_numpy(np.require(array, array.dtype.newbyteorder("="), ["C", "W"]))
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{what} cannot be turned into a tensor: {error}", "give numbers, all examples of one shape"
        ) from error
    tensor: Tensor = values.detach().cpu()
    return tensor.to(torch.int64) if tensor.dtype in WIDE_UNSIGNED else tensor


def _checked(inputs: Tensor, workload: Workload, what: str) -> Tensor:
    """A batch of inputs in the type that the network takes."""
    expected = workload.example_shapes[0][1:]
    if inputs.shape == expected:
        raise DataError(f"{what} holds single examples, of shape {tuple(expected)}", IN_BATCHES)
    if inputs.ndim == 0:
        raise DataError(f"{what} has a single number where inputs should be", IN_BATCHES)
    if inputs.shape[1:] != expected:
        raise DataError(
            f"an example of {what} has shape {tuple(inputs.shape[1:])}",
            f"the network was traced with {tuple(expected)}: resize, pad or crop all to one size, or "
            "trace it with that one",
        )
    if inputs.is_complex():
        raise DataError(f"{what} has complex numbers", "give real ones, such as real and imaginary parts")
    (entry,) = (n for n in workload.graph.graph.nodes if n.op == "placeholder" and "dtype" in n.meta)
    if not entry.meta["dtype"].is_floating_point:
        return _tokens(inputs, workload.graph, entry, what)
    return inputs.to(torch.float32)


def _tokens(inputs: Tensor, graph: fx.GraphModule, entry: fx.Node, what: str) -> Tensor:
    """Whole numbers, within the vocabulary where an embedding reads them."""
    if inputs.is_floating_point():
        raise DataError(
            f"{what} is of type {_type(inputs)}, the network takes whole numbers",
            "give token ids as integers",
        )
    readers = [graph.get_submodule(str(n.target)) for n in entry.users if n.op == "call_module"]
    sizes = [
        module.num_embeddings for module in readers if isinstance(module, nn.Embedding | nn.EmbeddingBag)
    ]
    if sizes and len(inputs) and not 0 <= int(inputs.min()) <= int(inputs.max()) < min(sizes):
        raise DataError(
            f"token ids of {what} run from {int(inputs.min())} to {int(inputs.max())}",
            f"the embedding has {min(sizes)} entries: 0 to {min(sizes) - 1}",
        )
    return inputs.to(entry.meta["dtype"])


def _type(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")


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
