"""What training brings down: the distance from the outputs in full precision, or from labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils import _pytree as pytree

from nemo_lab.errors import DataError
from nemo_lab.quantize.scores import IGNORED, scores

Teacher = Literal["full_precision", "labels", "both"]


def taught(outputs: Any, count: int, *, classes: bool) -> tuple[Tensor, ...]:
    """Of the outputs for a batch those that count.

    Args:
        outputs: of a network.
        count: of the examples in the batch.
        classes: whether they are scores of classes; else all real numbers of which each example has its own.

    Raises:
        DataError: if there are none.
    """
    if classes:
        return (scores(outputs),)
    leaves = (leaf for leaf in pytree.tree_leaves(outputs) if isinstance(leaf, Tensor))
    found = tuple(x for x in leaves if x.is_floating_point() and x.ndim and len(x) == count)
    if not found:
        raise DataError(
            "no output has real numbers for each example, so there is nothing to learn from",
            "use correct_bias, which looks at the layers",
        )
    return found


class Loss:
    """A loss as a sum over places, and how many there are.

    Args:
        teacher: ``"full_precision"``: of scores of classes KL(full precision || quantized) in nats, of other
            outputs the squared difference in units of their mean square; ``"labels"``: cross-entropy;
            ``"both"``: the mean of the two.
        classes: whether outputs are scores of classes.
        wanted: of all outputs in full precision those that count.

    Raises:
        DataError: if labels are to teach what has no classes.
    """

    def __init__(self, teacher: Teacher, wanted: Sequence[Tensor], *, classes: bool) -> None:
        self.teacher, self.classes = teacher, classes
        self.sizes = [float(one.double().square().mean()) for one in wanted]
        if teacher != "full_precision" and not classes:
            raise DataError(
                f"teacher={teacher!r} needs scores of classes, and the metric is of other outputs",
                "use teacher='full_precision'",
            )

    def __call__(self, outputs: Any, wanted: Sequence[Tensor], labels: Tensor | None) -> tuple[Tensor, int]:
        """Of a batch.

        Args:
            outputs: of the network in training, with gradients.
            wanted: what ``taught`` gave of those in full precision, for the same examples.
            labels: of the examples, if there are some; places of label -100 do not count.
        """
        found = taught(outputs, len(wanted[0]), classes=self.classes)
        if not self.classes:
            parts = zip(found, wanted, self.sizes, strict=True)
            errors = [F.mse_loss(x, y) / size for x, y, size in parts if size > 0]
            return torch.stack(errors).mean() * len(wanted[0]), len(wanted[0])
        one, other, marks = found[0], wanted[0], labels
        if marks is None or marks.shape != one.shape[:-1] or marks.is_floating_point():
            each = _divergence(one, other)
            return each.sum(), each.numel()
        totals, counted = list[Tensor](), marks != IGNORED
        if self.teacher != "labels":
            totals.append(_divergence(one, other)[counted].sum())
        if self.teacher != "full_precision":
            totals.append(F.cross_entropy(one[counted], marks[counted].long(), reduction="sum"))
        return torch.stack(totals).mean(), int(counted.sum())


def _divergence(found: Tensor, wanted: Tensor) -> Tensor:
    """KL of each place in nats."""
    logs, wanted = torch.log_softmax(found.float(), -1), torch.log_softmax(wanted.float(), -1)
    terms = wanted.exp() * (wanted.clamp(min=-1e4) - logs.clamp(min=-1e4))
    return terms.sum(-1)
