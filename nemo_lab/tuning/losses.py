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


class Loss:
    """A loss, mean over the places of a batch.

    Args:
        teacher: ``"full_precision"``: of scores of classes KL(full precision || quantized) in nats, of other
            outputs the squared difference in units of their mean square; ``"labels"``: cross-entropy;
            ``"both"``: the mean of the two.
        classes: whether outputs are scores of classes.

    Raises:
        DataError: if labels are to teach what has no classes.
    """

    def __init__(self, teacher: Teacher, *, classes: bool) -> None:
        self.teacher, self.classes = teacher, classes
        if teacher != "full_precision" and not classes:
            raise DataError(
                f"teacher={teacher!r} needs scores of classes, and the metric is of other outputs",
                "use teacher='full_precision'",
            )

    def taught(self, outputs: Any) -> tuple[Tensor, ...]:
        """Of the outputs for a batch those that count."""
        if self.classes:
            return (scores(outputs),)
        leaves = (leaf for leaf in pytree.tree_leaves(outputs) if isinstance(leaf, Tensor))
        return tuple(leaf for leaf in leaves if leaf.is_floating_point())

    def __call__(self, outputs: Any, wanted: Sequence[Tensor], labels: Tensor | None) -> Tensor:
        """Of outputs with gradients, a number.

        Args:
            outputs: of the network in training.
            wanted: what ``taught`` gave of those in full precision, for the same examples.
            labels: of the examples, if there are some.
        """
        found = self.taught(outputs)
        if not self.classes:
            sizes = [max(float(one.square().mean()), 1e-30) for one in wanted]
            parts = [F.mse_loss(x, y) / size for x, y, size in zip(found, wanted, sizes, strict=True)]
            return torch.stack(parts).mean()
        one, other, marks = found[0], wanted[0], labels
        if marks is not None and (marks.shape != one.shape[:-1] or marks.is_floating_point()):
            marks = None
        parts = []
        if self.teacher != "labels":
            each = _divergence(one, other)
            counted = None if marks is None else marks != IGNORED
            parts.append(each.mean() if counted is None else each[counted].mean())
        if self.teacher != "full_precision" and marks is not None:
            flat = one.reshape(-1, one.shape[-1])
            parts.append(F.cross_entropy(flat, marks.reshape(-1).long(), ignore_index=IGNORED))
        return torch.stack(parts).mean()


def _divergence(found: Tensor, wanted: Tensor) -> Tensor:
    """KL of each place in nats."""
    logs, wanted = torch.log_softmax(found.float(), -1), torch.log_softmax(wanted.float(), -1)
    terms = wanted.exp() * (wanted.clamp(min=-1e4) - logs.clamp(min=-1e4))
    return terms.sum(-1)
