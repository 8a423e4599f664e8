"""What is minimised of a network's outputs: errors that need labels, and two that do not."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils import _pytree as pytree

from nemo_lab.contract import check_call
from nemo_lab.errors import ArgumentError, EvaluationError, NemoError, shown
from nemo_lab.objective import MEASURED, Objective, of_function
from nemo_lab.quantize.memory import is_out_of_memory
from nemo_lab.quantize.scores import disagreement, divergence, surprise, top


@dataclass(frozen=True)
class Metric:
    """One task objective, minimised, averaged over examples, or over the places of all of them.

    Attributes:
        name: ``"top1"``, ``"top5"``, ``"agreement"``, ``"kl"``, ``"perplexity"``, or that of a callable.
        objective: what it is among the objectives, its bounds included.
        errors: (outputs, labels, full-precision outputs) -> float[N], the error of each example.
        needs_labels: whether ``labels`` may not be None.
        needs_reference: whether the outputs in full precision may not be None.
        classes: whether outputs must be scores of classes, float[N, C] or float[N, T, C].
        by_place: whether the errors are sums over the places of an example, so that all places of all
            examples count alike, in nats: their mean is cut at that of a guess.
    """

    name: str
    objective: Objective
    errors: Callable[[Any, Any, Any], Any]
    needs_labels: bool = True
    needs_reference: bool = False
    classes: bool = True
    by_place: bool = False

    def tried(self, outputs: Any, labels: Tensor | None) -> Tensor | None:
        """What a function of one's own gives for outputs in full precision: one number for all, or for each.

        None for a metric of ours, which gives one for each.
        """
        return None if self.classes else self._numbers(self.errors(outputs, labels, outputs))

    def sum(self, outputs: Any, labels: Tensor | None, reference: Any, count: int) -> float:
        """The errors of a batch of ``count`` examples, added up.

        Raises:
            EvaluationError: if they are not one finite number per example.
        """
        found = self._numbers(self.errors(outputs, labels, reference))
        if found.ndim == 0:
            found = found.expand(count)
        if found.shape != (count,):
            raise EvaluationError(
                f"metric {self.name!r} returned shape {tuple(found.shape)} for {count} examples",
                "return one number for all of them, or one for each example",
            )
        if not bool(torch.isfinite(found).all()):
            raise EvaluationError(
                f"metric {self.name!r} returned {float(found[~torch.isfinite(found)][0])}",
                "return finite numbers; give the worst error where a result is not defined",
            )
        return float(found.sum())

    def _numbers(self, returned: Any) -> Tensor:
        try:
            if isinstance(returned, list | tuple) and all(isinstance(r, Tensor) for r in returned):
                returned = torch.stack(tuple(returned))
            if isinstance(returned, Tensor) and not returned.is_complex():
                return returned.detach().cpu().double()
            return torch.from_numpy(np.asarray(returned).astype(np.float64, casting="same_kind"))
        except (TypeError, ValueError, RuntimeError) as error:
            raise EvaluationError(
                f"metric {self.name!r} returned a {type(returned).__name__}",
                "return one number for all examples, or one for each",
            ) from error


def _ours(name: str, errors: Callable[[Any, Any, Any], Any], **needs: bool) -> Metric:
    return Metric(name, MEASURED[name], errors, **needs)


METRICS = {
    metric.name: metric
    for metric in (
        _ours("top1", top(1)),
        _ours("top5", top(5)),
        _ours("agreement", disagreement, needs_labels=False, needs_reference=True),
        _ours("kl", divergence, needs_labels=False, needs_reference=True),
        _ours("perplexity", surprise, by_place=True),
    )
}


def as_metrics(given: Any) -> tuple[Metric, ...]:
    """Metrics from names, callables (outputs, labels) -> error, or a sequence of them.

    The first that is a share of wrong answers is the objective ``task_error``; more are called after their
    metric, such as ``top5_error``. A function is called by its name, and shown as it is.

    Raises:
        ArgumentError: on an unknown name, none, two of one name or objective, or impossible bounds.
    """
    entries: Sequence[Any] = given if isinstance(given, tuple | list) else (given,)
    if not entries:
        raise ArgumentError("there is no metric", f"use one of {', '.join(METRICS)}, or a function")
    metrics: list[Metric] = []
    for entry in entries:
        metric = _metric(entry)
        if metric.name in [m.name for m in metrics]:
            raise ArgumentError(
                f"metric {metric.name!r} is given twice", "name each once, and functions differently"
            )
        taken = {m.objective.name: m.name for m in metrics}
        if metric.objective.name in taken:
            metric = replace(metric, objective=replace(metric.objective, name=f"{metric.name}_error"))
        other = taken.get(metric.objective.name)
        if other is not None:
            raise ArgumentError(
                f"metric {other!r} has the name of another's objective", "rename the function"
            )
        metrics.append(metric)
    return tuple(metrics)


def one_metric(given: Any, own: Sequence[Metric]) -> tuple[Metric]:
    """What ``as_metrics`` takes as one metric, refused if it is several; on None the first of the own."""
    metrics = own if given is None else as_metrics(given)
    if given is not None and len(metrics) > 1:
        raise ArgumentError(
            f"{len(metrics)} metrics, where one is measured at a time", "call it once for each"
        )
    return (metrics[0],)


def functions(metrics: Sequence[Metric]) -> list[str]:
    """What tells those that are functions from others of the same names."""
    return [metric.objective.metric for metric in metrics if metric.name not in METRICS]


def bounded(
    metrics: Sequence[Metric], worst: Sequence[float], measure: Callable[[], NDArray[np.float64]]
) -> tuple[Objective, ...]:
    """The objectives of metrics, each with its bounds.

    Args:
        metrics: M of them.
        worst: M numbers, the error that each is cut at, infinity for none.
        measure: gives errors float64[N, M] of some configurations; called once, if bounds are not known.
            They are 0 to 1 then, or wider where these errors lie beyond.
    """
    objectives = [
        replace(one.objective, low=0.0, high=most)
        if one.objective.low is None and most < math.inf
        else one.objective
        for one, most in zip(metrics, worst, strict=True)
    ]
    if all(one.low is not None for one in objectives):
        return tuple(objectives)
    measured = measure()
    low, high = measured.min(axis=0, initial=0.0).tolist(), measured.max(axis=0, initial=1.0).tolist()
    return tuple(
        one if one.low is not None else replace(one, low=low[k], high=high[k])
        for k, one in enumerate(objectives)
    )


def _metric(entry: Any) -> Metric:
    if callable(entry):
        compares = _takes_reference(entry)

        own = of_function(entry)

        def errors(*given: Any) -> Any:
            given = pytree.tree_map_only(Tensor, torch.clone, given[: 2 + compares])  # it may write to them
            try:
                return entry(*given)
            except Exception as error:
                if isinstance(error, NemoError) or is_out_of_memory(error):
                    raise
                names = ("outputs", "labels", "reference")
                called = (f"{name} are {_described(one)}" for name, one in zip(names, given, strict=False))
                raise EvaluationError(
                    f"metric {own.name!r} raised {type(error).__name__}: {error}",
                    f"it is called with what the network returns: {', '.join(called)}",
                ) from error

        check_call(entry, own.name, ("outputs", "labels", "reference")[: 2 + compares])
        if own.name in METRICS:
            raise ArgumentError(
                f"a function is called {own.name!r}, as a metric of nemo_lab is",
                f"rename the function, or give metric={own.name!r}",
            )
        own = replace(own, **_bounds(entry, own.name))
        return Metric(own.name, own, errors, needs_labels=False, needs_reference=compares, classes=False)
    found = METRICS.get(entry) if isinstance(entry, str) else None
    if found is None:
        raise ArgumentError(
            f"no metric {shown(entry)}",
            f"use one of {', '.join(METRICS)}, or a function (outputs, labels) -> error",
        )
    return found


def _described(given: Any) -> str:
    if isinstance(given, Tensor):
        return f"a tensor of shape {tuple(given.shape)}"
    if isinstance(given, Mapping):
        return f"a {type(given).__name__} with {', '.join(map(repr, given))}"
    return "None" if given is None else f"a {type(given).__name__}"


def _takes_reference(entry: Any) -> bool:
    """Whether a function calls its third argument ``reference``: the outputs in full precision."""
    try:
        return "reference" in list(inspect.signature(entry).parameters)[2:3]
    except Exception:  # compiled code does not say, and what an object's own methods raise
        return False


def _bounds(entry: Any, name: str) -> dict[str, Any]:
    """The attribute ``bounds`` of a callable; nothing if it has none."""
    given = getattr(entry, "bounds", None)
    if given is None:
        return {}
    try:
        low, high = (float(bound) for bound in given)
    except (TypeError, ValueError):
        low = high = math.nan
    if not -math.inf < low < high < math.inf:
        raise ArgumentError(
            f"metric {name!r} has bounds {given!r}",
            "give its lowest and its highest error, such as (0, 1)",
        )
    return {"low": low, "high": high}
