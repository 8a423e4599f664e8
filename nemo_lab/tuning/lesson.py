"""What there is to learn from, and the part of it that only tells how much was learned."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nemo_lab.quantize.data import Examples
from nemo_lab.tuning.losses import Loss
from nemo_lab.tuning.student import Student

APART, FEW = 8, 32  # one of so many examples is in the split, but so many where a quarter allows


@dataclass(frozen=True, eq=False)
class Lesson:
    """What there is to learn from.

    Attributes:
        examples: all of them.
        wanted: of their outputs in full precision those that count, each [N, ...].
        loss: of a batch.
        split: numbers of the examples that only tell how good a state is.
    """

    examples: Examples
    wanted: tuple[Tensor, ...]
    loss: Loss
    split: Tensor

    def of(self, student: Student, places: Tensor) -> tuple[Tensor, int]:
        """The loss of some examples, as a sum over places, and how many there are."""
        network, labels = student.network, self.examples.labels
        batch = network.prepare(tuple(tensor[places] for tensor in self.examples.inputs))
        wanted = tuple(one[places].to(network.device) for one in self.wanted)
        marks = None if labels is None else labels[places].to(network.device)
        return self.loss(student.outputs(batch), wanted, marks)


def parts_of(places: Tensor, size: int) -> list[Tensor]:
    """Batches of so many; one that is left over joins the last: of one alone many networks drop an axis."""
    parts = list(places.split(size))
    if len(parts) > 1 and len(parts[-1]) == 1 < size:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def split_of(count: int, seed: int) -> Tensor:
    """Numbers of those of two examples or more that only tell how good a state is."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return order[: max(count // APART, min(FEW, count // 4), 1)]
