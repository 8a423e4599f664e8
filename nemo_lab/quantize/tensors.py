"""One tensor of a batch: converted, and held against what the network was traced with."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nemo_lab.errors import DataError
from nemo_lab.workload.inputs import Leaf
from nemo_lab.workload.workload import Workload

IN_BATCHES = "give batches [N, ...]: stack them, or use torch.utils.data.DataLoader"
WIDE_UNSIGNED = {torch.uint16, torch.uint32, torch.uint64}  # which torch hardly knows


def is_array(value: Any) -> bool:
    """Whether it is a tensor, an array, or a table."""
    return hasattr(value, "__array__")


def as_tensor(values: Any, what: str) -> Tensor:
    """On the CPU, of a type that torch computes with.

    Raises:
        DataError: if it is not a tensor, an array or a list of numbers.
    """
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


def as_input(given: Tensor, leaf: Leaf, workload: Workload, what: str) -> Tensor:
    """A batch of one input, [N, ...], in the type that the network takes: float32 for real numbers.

    Raises:
        DataError: if its shape or type is another than in the example.
    """
    what = what if workload.inputs.plain else f"{leaf.name} of {what}"
    if given.shape == leaf.shape and given.ndim:
        raise DataError(f"{what} holds single examples, of shape {leaf.shape}", IN_BATCHES)
    if given.ndim == 0:
        raise DataError(f"{what} has a single number where inputs should be", IN_BATCHES)
    if given.shape[1:] != leaf.shape:
        raise DataError(
            f"an example of {what} has shape {tuple(given.shape[1:])}",
            f"the network was traced with {leaf.shape}: resize, pad or crop all to one size, or "
            "trace it with that one",
        )
    if given.is_complex():
        raise DataError(f"{what} has complex numbers", "give real ones, such as real and imaginary parts")
    return given.to(torch.float32) if leaf.dtype.is_floating_point else _whole(given, leaf, workload, what)


def _whole(given: Tensor, leaf: Leaf, workload: Workload, what: str) -> Tensor:
    """Whole numbers: within their type, and within the vocabulary where an embedding reads them."""
    kind = str(leaf.dtype).removeprefix("torch.")
    sizes = _vocabularies(leaf, workload)
    if given.is_floating_point():
        raise DataError(
            f"{what} is of type {str(given.dtype).removeprefix('torch.')}, the network takes whole numbers",
            "give token ids as integers" if sizes else f"give them as {kind}",
        )
    lowest, highest = (int(given.min()), int(given.max())) if given.numel() else (0, 0)
    if sizes and not 0 <= lowest <= highest < min(sizes):
        raise DataError(
            f"token ids of {what} run from {lowest} to {highest}",
            f"the embedding has {min(sizes)} entries: 0 to {min(sizes) - 1}",
        )
    info = torch.iinfo(leaf.dtype) if leaf.dtype != torch.bool else None
    least, most = (info.min, info.max) if info else (0, 1)
    if not least <= lowest <= highest <= most:
        raise DataError(
            f"{what} runs from {lowest} to {highest}", f"the network takes {kind}, {least} to {most}"
        )
    return given.to(leaf.dtype)


def _vocabularies(leaf: Leaf, workload: Workload) -> list[int]:
    """How many entries the embeddings have that read an input."""
    graph, found = workload.graph, list[int]()
    for entry in (n for n in graph.graph.nodes if n.op == "placeholder" and "dtype" in n.meta):
        if workload.inputs.plain or entry.target == leaf.name:
            readers = [graph.get_submodule(str(n.target)) for n in entry.users if n.op == "call_module"]
            found += [
                one.num_embeddings for one in readers if isinstance(one, nn.Embedding | nn.EmbeddingBag)
            ]
    return found


def channels_last(x: Tensor) -> Tensor:
    """A copy of images or of a kernel with the strides of channels last; what is neither, as it is.

    ``contiguous`` will not do: of one channel, or of one pixel, it says that any strides are right, and a
    convolution that finds them contiguous runs in the slower layout.
    """
    return x.clone(memory_format=torch.channels_last) if x.ndim == 4 else x
