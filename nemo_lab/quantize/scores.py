"""Errors of scores of classes: one row of scores an example, or one for each place of a sequence."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from nemo_lab.errors import DataError

IGNORED = -100  # the label of a place that does not count, as for torch's cross entropy
RULED_OUT = 100.0  # nats, at most, for a label that is ruled out, as for torch's binary cross entropy

Errors = Callable[[Any, Any, Any], Tensor]


def scores(outputs: Any) -> Any:
    """The scores among the outputs of a network: what it calls ``logits``, if it gives several."""
    if isinstance(outputs, Mapping):
        return outputs.get("logits", outputs)
    return outputs if isinstance(outputs, Tensor) else getattr(outputs, "logits", outputs)


def top(k: int) -> Errors:
    """Whether the label is not among the k best."""

    def errors(found: Tensor, labels: Tensor, _: Any) -> Tensor:
        best = found.topk(min(k, found.shape[1])).indices if k > 1 else found.argmax(1, keepdim=True)
        right = (best == labels[:, None]).any(1)
        wrong: Tensor = ~right | found.isnan().any(1)  # NaN ranks first, and would count
        return wrong

    return _by_example(errors)


def _differs(found: Tensor, _: Any, reference: Tensor) -> Tensor:
    differs: Tensor = found.argmax(1) != reference.argmax(1)
    return differs | found.isnan().any(1)


def _diverges(found: Tensor, _: Any, reference: Tensor) -> Tensor:
    classes = found.shape[1]
    wanted, found = (torch.log_softmax(x.double(), dim=1) for x in (reference, found))
    terms = wanted.exp() * (wanted - found)
    terms[(wanted == -math.inf) & ~found.isnan()] = 0.0  # 0 ln 0
    share: Tensor = (terms.sum(1) / math.log(classes)).nan_to_num(1.0, 1.0, 1.0).clamp(0.0, 1.0)
    return share


def _surprises(found: Tensor, labels: Tensor, _: Any) -> Tensor:
    labels = labels.where(labels != IGNORED, 0)  # which are not counted below
    logs = torch.log_softmax(found.double(), dim=1).gather(1, labels.long()[:, None])
    nats: Tensor = (-logs[:, 0]).nan_to_num(RULED_OUT).clamp(max=RULED_OUT)
    return nats


def _by_example(rows: Errors, *, mean: bool = True) -> Errors:
    """Errors float[N] of scores [N, C], or of [N, T, C]: the mean or the sum of the places that count."""

    def errors(outputs: Any, labels: Any, reference: Any) -> Tensor:
        found = scores(outputs)
        reference = None if reference is None else scores(reference)
        if found.ndim == 2:
            return rows(found, labels, reference)
        classes, places = found.shape[-1], found.shape[:-1]
        marks = labels if labels is not None and labels.shape == places else None
        each = rows(
            found.reshape(-1, classes),
            None if marks is None else marks.reshape(-1),
            None if reference is None else reference.reshape(-1, classes),
        )
        counted = torch.ones(places, device=found.device) if marks is None else (marks != IGNORED)
        total = (each.reshape(places).double() * counted).sum(1)
        return total / counted.sum(1) if mean else total

    return errors


disagreement = _by_example(_differs)
"""Whether the best class is another than in full precision."""
divergence = _by_example(_diverges)
"""KL(full precision || quantized) in units of ln(classes), at most 1: more is a guess or worse."""
surprise = _by_example(_surprises, mean=False)
"""Negative log-likelihood of the labels in nats, summed over the places of an example."""


def places(labels: Tensor) -> int:
    """How many labels count: each of int64[N], and those of int64[N, T] that are not -100."""
    return len(labels) if labels.ndim == 1 else int((labels != IGNORED).sum())


def check_scores(name: str, outputs: Any, labels: Tensor | None, count: int, *, labelled: bool) -> None:
    """Hold what a network returns for a batch of ``count``, and all labels, against what a metric needs.

    Args:
        name: of the metric.
        outputs: of the network.
        labels: of all examples.
        count: of the examples that ``outputs`` are for.
        labelled: whether some metric needs labels.

    Raises:
        DataError: if the scores are not float[count, C] or float[count, T, C], C at least 2, or the labels
            are not integers below C, and must be.
    """
    found = scores(outputs)
    if (
        not isinstance(found, Tensor)
        or found.ndim not in (2, 3)
        or found.shape[-1] < 2
        or len(found) != count
    ):
        what = type(found).__name__
        if isinstance(found, Tensor):
            one = found.shape[:1] == (count,)
            shape = tuple(found.shape[one:]) or "one number"
            what = f"{shape} for {'an example' if one else f'{count} examples'}"
        raise DataError(
            f"the network returns {what}, metric {name!r} needs scores of classes",
            "give a metric of your own: a function (outputs, labels) -> error, or one of (outputs, labels, "
            "reference), which gets the outputs in full precision, too",
        )
    if not labelled:
        return
    whole = labels is not None and not (labels.is_floating_point() or labels.is_complex())
    if labels is None or not whole or labels.shape[1:] != found.shape[1:-1]:
        dtype = "" if labels is None else str(labels.dtype).removeprefix("torch.")
        wrong = "are missing" if labels is None else f"have shape {tuple(labels.shape)} and type {dtype}"
        wanted = "integers[N], the class of each example" if found.ndim == 2 else "integers[N, T]"
        raise DataError(f"labels {wrong}", f"give {wanted}")
    counted = labels != IGNORED if found.ndim == 3 else torch.ones_like(labels, dtype=torch.bool)
    if not bool(counted.reshape(len(labels), -1).any(1).all()):
        raise DataError("an example has no label that counts", "leave such examples out")
    low, high, classes = int(labels[counted].min()), int(labels[counted].max()), found.shape[-1]
    if not 0 <= low <= high < classes:
        raise DataError(
            f"labels run from {low} to {high}", f"the network has {classes} classes: 0 to {classes - 1}"
        )
