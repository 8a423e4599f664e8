"""What a study is about and came from: its problem, and digests and versions that results depend on."""

from __future__ import annotations

import importlib.metadata
import inspect
import platform
from collections.abc import Mapping, Sequence
from typing import Any

from nemo_lab._version import __version__
from nemo_lab.adapted import AdaptedProblem
from nemo_lab.contract import check_fingerprint
from nemo_lab.definitions import definition
from nemo_lab.errors import ContractError, DataError, shown
from nemo_lab.problem import DESCRIPTION
from nemo_lab.search import Problem, adapt_problem
from nemo_lab.settings import arguments_kept, attributes_of, patched, settings
from nemo_lab.workload.workload import Workload

EMBEDDED = ("digits", "fashion", "text")  # what a file may ask for by name
PACKAGES = ("torch", "torch-geometric", "numpy", "scipy", "pymoo", "moocore", "numba")


def listed(given: Any) -> Any:
    """A single text as a list of one, as people write it; anything else as it is."""
    return (given,) if isinstance(given, str) else given


def as_problem(problem: Any) -> tuple[Problem, dict[str, str] | None]:
    """A problem from what ``create_study`` takes, and how it can be made again from a name, if it can.

    Raises:
        UnknownNameError, DataError, ArgumentError: if it is none.
    """
    recipe = {"workload": "".join(problem)} if isinstance(problem, str) else None
    if isinstance(problem, str):
        from nemo_lab.workload import load_workload
        from nemo_lab.workload.zoo import VISION

        if problem in VISION:
            raise DataError(
                f"the images of {problem!r} are not in the package",
                f"w = load_workload({problem!r}), then create_study(QuantizationProblem(w, "
                "calibration=inputs, data=(inputs, labels)))",
            )
        problem = load_workload(problem)
    if isinstance(problem, Workload):
        from nemo_lab.quantize import QuantizationProblem

        problem = QuantizationProblem(problem)
    return adapt_problem(problem), recipe


def versions() -> dict[str, str]:
    """Versions of what results depend on, by package."""
    found = {"nemo_lab": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def fingerprints(problem: Problem) -> tuple[dict[str, str], ...]:
    """Digests by part of all that a problem's results depend on, then other forms that stand for the same.

    The others are ``former_fingerprints``; a stored result of any of the forms holds for the problem.
    """
    now = problem.fingerprint()
    check_fingerprint(now)
    unsaid = _unsaid(problem)
    if unsaid:
        now = {**now, "code": definition([now.get("code"), unsaid])}
    former = problem.former_fingerprints(now)
    if not isinstance(former, tuple | list):
        raise ContractError(f"former_fingerprints returned {shown(former)}", "return a tuple of dicts")
    forms = now, *former
    for form in forms:
        check_fingerprint(form)
    return tuple({str(part): str(value) for part, value in form.items()} for form in forms)


def _unsaid(problem: Problem) -> list[Any]:
    """What is not in the fingerprint that an object gives: empty if all is.

    Of one that asks another one for its fingerprint: its class, and what it holds. Of one that inherits its
    fingerprint from a class that knows only itself: the class, and what that other one does not hold. Of all
    others that give one: functions in place of methods.
    """
    own = problem.original if isinstance(problem, AdaptedProblem) else problem
    if getattr(own, "fingerprint", None) is None:
        return []
    if inspect.getattr_static(own, "fingerprint", None) is None:
        kept = arguments_kept(own)
        asked = [name for name, one in kept.items() if hasattr(one, "fingerprint")]
        more = settings(own, but=(*kept, *DESCRIPTION))
        told = {name: one for name, one in kept.items() if name not in asked}
        return [type(own), told, *([more] if more else [])]
    giver = next((kind for kind in type(own).__mro__ if "fingerprint" in vars(kind)), type(own))
    if giver is Problem:  # which knows of all
        return []
    if giver is not type(own):
        return [type(own), settings(own, but=attributes_of(giver))]
    replaced = patched(own)
    return [replaced] if replaced else []


def reusable(forms: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """The forms whose evaluations another study may take over: not those that say less of one's own code."""
    return [form for form in forms if form.get("code") == forms[0].get("code")]


def same_python(then: Mapping[str, str]) -> bool:
    """Whether compiled code can be compared with that of a journal with these versions."""
    return then.get("python", "").split(".")[:2] == platform.python_version().split(".")[:2]
