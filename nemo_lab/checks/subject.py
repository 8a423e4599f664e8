"""What is checked: from whatever people have to a workload, and to a problem where there are data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nemo_lab._quiet import no_warnings
from nemo_lab.adapted import adapt_problem
from nemo_lab.errors import ArgumentError, NemoError, NemoWarning, TraceError, UnknownNameError
from nemo_lab.problem import Problem
from nemo_lab.quantize import QuantizationProblem
from nemo_lab.workload import Workload, load_workload

WHAT = "give a torch.nn.Module with its example_input, a Workload, a problem, or the name of a workload"


@dataclass(frozen=True, eq=False)
class Subject:
    """What is checked.

    Attributes:
        title: what it is called.
        workload: the network, if there is one and it could be traced.
        problem: what would be searched, if there are data.
        refused: why there is no workload, or no problem.
    """

    title: str
    workload: Workload | None = None
    problem: Problem | None = None
    refused: NemoError | None = None


def subject_of(given: Any, example_input: Any, settings: Mapping[str, Any]) -> Subject:
    """What was given, traced, and made a problem of.

    Args:
        given: a module, a workload, a problem, or a name.
        example_input: of a module.
        settings: keywords of ``QuantizationProblem``; without any, a workload that came without data is
            checked alone.

    Raises:
        UnknownNameError: on a name, or a keyword, that is not known.
        ArgumentError: on anything else, and on what does not belong to it.
    """
    if is_module(given):
        if example_input is None:
            raise ArgumentError(
                f"example_input is missing for a {type(given).__name__}", "pass one batch of its inputs"
            )
        return _traced(given, example_input, settings)
    if example_input is not None:
        raise ArgumentError(
            f"example_input goes with a module, not with a {type(given).__name__}", "leave it out"
        )
    if isinstance(given, str):
        with no_warnings(NemoWarning):  # of what the report says
            given = load_workload(given)
    if isinstance(given, Workload):
        return _with_data(given, settings)
    if not hasattr(given, "evaluate") or isinstance(given, type):
        raise ArgumentError(f"a {type(given).__name__} cannot be checked", WHAT)
    if settings:
        raise ArgumentError(
            f"{next(iter(settings))}= goes with a network, not with a problem", "leave it out"
        )
    try:
        problem = adapt_problem(given)
    except NemoError as error:
        return Subject(type(given).__name__, refused=error)
    return Subject(str(problem.title), problem.workload, problem)


def is_module(given: Any) -> bool:
    """Whether it is a network of torch."""
    from torch import nn

    return isinstance(given, nn.Module)


def _traced(module: Any, example_input: Any, settings: Mapping[str, Any]) -> Subject:
    try:
        with no_warnings(NemoWarning):
            workload = Workload.from_module(module, example_input)
    except TraceError as error:
        return Subject(type(module).__name__, refused=error)
    return _with_data(workload, settings)


def _with_data(workload: Workload, settings: Mapping[str, Any]) -> Subject:
    if workload.data is None and not settings:
        return Subject(workload.name, workload)
    try:
        return Subject(workload.name, workload, QuantizationProblem(workload, **settings))
    except UnknownNameError:
        raise
    except NemoError as error:
        return Subject(workload.name, workload, refused=error)
