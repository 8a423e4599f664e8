"""How much memory a problem takes, told before it is taken."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from nemo_lab.errors import ArgumentError, NemoWarning
from nemo_lab.workload.workload import Workload

LARGEST_BATCH = 512
BATCH_BYTES = 2**23  # of the largest activation in a batch: what a cache holds
SMALLEST_BATCH = 4  # a call of one example costs more than a cache gives
ANNOUNCED = 10**9  # bytes
BACKWARD_BYTES = 2**28
BACKWARD_COPIES = 6  # of an activation: before and after rounding, as is read, its gradient, and two more
WEIGHT_SHARE = 4  # of free memory a quarter for quantized weights
LESS_MEMORY = "use fewer images, or a smaller batch_size, calibration_batch or kept_mb"

V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
LIMITS = (  # of the container if there is one: limit, in use, and what of it are files that may go
    (V2 / "memory.max", V2 / "memory.current", V2 / "memory.stat", "inactive_file"),
    (
        V1 / "memory.limit_in_bytes",
        V1 / "memory.usage_in_bytes",
        V1 / "memory.stat",
        "total_inactive_file",
    ),
)


def free_bytes() -> int | None:
    """Memory this process may still take, by the container's limit and the machine's; None if unknown."""
    found = []
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        found.append(int(lines["MemAvailable"].split()[0]) * 1024)
    except (OSError, ValueError, KeyError):
        pass
    for limit, used, pages, name in LIMITS:
        try:
            free = int(limit.read_text()) - int(used.read_text())
        except (OSError, ValueError):  # no such limit, or "max"
            continue
        found.append(free + _number(pages, name))
    return max(0, min(found)) if found else None


def _number(file: Path, name: str) -> int:
    """The number after a name at the start of a line; 0 if there is none."""
    try:
        return int(dict(line.split() for line in file.read_text().splitlines())[name])
    except (OSError, ValueError, KeyError):
        return 0


def megabytes(count: float) -> str:
    """A number of bytes for a reader."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def default_batch(workload: Workload) -> int:
    """Examples per forward pass: the largest power of two whose largest activation fits ``BATCH_BYTES``."""
    fits = max(SMALLEST_BATCH, BATCH_BYTES // (4 * _largest(workload)))
    return int(min(LARGEST_BATCH, 2 ** (fits.bit_length() - 1)))


def backward_batch(workload: Workload) -> int:
    """Examples in a backward pass: as many as fit ``BACKWARD_BYTES`` with all activations, or two."""
    each = BACKWARD_COPIES * 4 * sum(map(math.prod, _activations(workload)))
    return int(max(2, BACKWARD_BYTES // max(each, 1)))


def weight_bytes(workload: Workload, widths: int) -> int:
    """Bytes for quantized weights: at all widths, if a quarter of free memory holds them; else that quarter.

    Never less than two configurations take. Rounding weights again costs time, but changes no result.
    """
    stored = _stored(workload)
    free = free_bytes()
    wanted = widths * stored
    return wanted if free is None else max(2 * stored, min(wanted, free // WEIGHT_SHARE))


def needed_bytes(workload: Workload, examples: int, batch_size: int, kept: int, weights: int) -> int:
    """Bytes that a problem takes at most: its copy of the network, examples, and activations of a batch.

    Args:
        workload: the network.
        examples: inputs for calibration and search.
        batch_size: most of them in a forward pass.
        kept: cap on activations that are kept.
        weights: cap on quantized weights.
    """
    inputs = 4 * examples * sum(math.prod(shape[1:]) for shape in workload.example_shapes)
    return _stored(workload) + weights + inputs + kept + 16 * batch_size * _largest(workload)


def check_memory(workload: Workload, examples: int, batch_size: int, kept: int, weights: int) -> int:
    """What ``needed_bytes`` gives, if it fits.

    Raises:
        ArgumentError: if it is more than ``ANNOUNCED`` and than what is free.

    Warns:
        NemoWarning: if it is more than ``ANNOUNCED``.
    """
    needed, free = needed_bytes(workload, examples, batch_size, kept, weights), free_bytes()
    if needed > ANNOUNCED:
        if free is not None and needed > free:
            raise ArgumentError(
                f"{workload.name} needs up to {megabytes(needed)} of memory, {megabytes(free)} are free",
                LESS_MEMORY,
            )
        warnings.warn(
            f"{workload.name} will take up to {megabytes(needed)} of memory; {LESS_MEMORY} to save some",
            NemoWarning,
            stacklevel=3,
        )
    return needed


def check_room(examples: int, batch: int, outputs: Any) -> None:
    """Whether the outputs for all examples fit into memory beside each other.

    Args:
        examples: in all.
        batch: examples that ``outputs`` are for.
        outputs: of the network.

    Raises:
        ArgumentError: if they are more than ``ANNOUNCED`` and than what is free.
    """
    leaves = [leaf for leaf in pytree.tree_leaves(outputs) if isinstance(leaf, Tensor)]
    needed, free = 2 * examples * sum(leaf.nbytes for leaf in leaves) // batch, free_bytes()  # and as one
    if needed > ANNOUNCED and free is not None and needed > free:
        raise ArgumentError(
            f"a metric wants all outputs at once, {megabytes(needed)}, and {megabytes(free)} are free",
            "return one number for each example, or use fewer images",
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is torch's or Python's of an allocation that failed, whatever else it mentions."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    )


def _stored(workload: Workload) -> int:
    """Bytes of the parameters in float32."""
    return 4 * sum(parameter.numel() for parameter in workload.module.parameters())


def _largest(workload: Workload) -> int:
    """Numbers in the largest activation of one example."""
    return max(map(math.prod, _activations(workload)), default=1)


def _activations(workload: Workload) -> list[tuple[int, ...]]:
    """Shapes of all activations of one example."""
    return [q.shape for node in workload.nodes for q in node.quantizers if q.kind == "activation"]
