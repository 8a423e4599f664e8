"""Whether something can be searched: one call before a search."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nemo_lab.arguments import Number
from nemo_lab.checks.advice import advice
from nemo_lab.checks.figures import measured_figures, network_figures
from nemo_lab.checks.report import CheckReport
from nemo_lab.checks.subject import subject_of
from nemo_lab.errors import NemoError

SECONDS = Number(0, 1e9, words="a number of seconds, 0 to try nothing")


def check(
    subject: Any,
    example_input: Any = None,
    *,
    calibration: Any = None,
    data: Any = None,
    seconds: float = 60,
    **settings: Any,
) -> CheckReport:
    """What a search of this will be like: what is quantized, what it takes, and what is amiss.

    Errors are measured in full precision, with 8 bits everywhere, where a network whose ranges fit loses
    next to nothing, and at the lowest width; a few random configurations are timed. Where 8 bits lose much,
    other settings are tried on the same data. The network, its mode and global random numbers stay as they
    are; what is evaluated costs a later search of the same problem nothing.

    Args:
        subject: a ``torch.nn.Module``, a ``Workload``, a ``QuantizationProblem`` or another problem, or the
            name of a workload in the zoo. Without data, what can be told without them is told.
        example_input: of a module, one batch, see ``Workload.from_module``.
        calibration, data: for a module or a workload, as ``QuantizationProblem`` takes them.
        seconds: that trials of other settings may take together.
        **settings: further arguments of ``QuantizationProblem``, such as ``metric="kl"``.

    Returns:
        a report: its text is for people, its attributes are the figures. It is not ``ok`` if the network
        cannot be traced, or the data cannot be used: ``reason`` and ``hint`` say why, and the way out.

    Raises:
        UnknownNameError: if there is no workload of that name, or no such argument.
        ArgumentError: on what cannot be checked at all, and on arguments that do not belong to it.

    >>> report = check("digits")
    >>> report.ok, report.weights, report.activations, report.advice
    (True, 17, 19, ())
    >>> print(report.verdict)
    digits can be searched
    """
    budget = SECONDS.check("seconds", seconds)
    given = {"calibration": calibration, "data": data}
    given = {name: value for name, value in given.items() if value is not None} | settings
    found = subject_of(subject, example_input, given)
    refused, figures = found.refused, dict[str, Any]()
    if found.workload is not None:
        figures |= network_figures(found.workload, found.problem)
    if found.problem is not None:
        try:
            figures |= measured_figures(found.problem)
        except NemoError as error:
            refused = error
    if refused is not None:
        figures |= {"reason": refused.message, "hint": refused.hint}
    report = CheckReport(found.title, **figures)
    return replace(report, advice=advice(report, found, budget))
