"""What a study is about and came from: its problem, and digests and versions that results depend on."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nemo_lab._version import __version__
from nemo_lab.arguments import Domain, Several
from nemo_lab.errors import ArgumentError, DataError
from nemo_lab.search import Problem
from nemo_lab.workload.workload import Workload


@dataclass(frozen=True)
class _SpeciesLike(Domain[Any]):
    """A name, a class or another factory, or an object that says its name."""

    def clean(self, value: Any) -> Any:
        if not isinstance(value, str) and not callable(value) and not isinstance(value.name, str):
            raise ValueError
        return value


SPECIES = Several(_SpeciesLike(), words="names of species, or classes and objects of your own, in a list")
PACKAGES = ("torch", "torch-geometric", "numpy", "scipy", "pymoo", "moocore", "numba")


def listed(given: Any) -> Any:
    """A single text as a list of one, as people write it; anything else as it is."""
    return (given,) if isinstance(given, str) else given


def as_problem(problem: Any) -> tuple[Problem, dict[str, str] | None]:
    """A problem from what ``create_study`` takes, and how it can be made again from a name, if it can.

    Raises:
        UnknownNameError, DataError, ArgumentError: if it is none.
    """
    recipe = {"workload": problem} if isinstance(problem, str) else None
    if isinstance(problem, str):
        from nemo_lab.workload import load_workload
        from nemo_lab.workload.zoo import VISION

        if problem in VISION:
            raise DataError(
                f"the images of {problem!r} are not in the package",
                f"w = load_workload({problem!r}), then create_study(QuantizationProblem(w, "
                "calibration=images, data=(images, labels)))",
            )
        problem = load_workload(problem)
    if isinstance(problem, Workload):
        from nemo_lab.quantize import QuantizationProblem

        problem = QuantizationProblem(problem)
    if not isinstance(problem, Problem):
        raise ArgumentError(
            f"a {type(problem).__name__} cannot be searched",
            "give a workload's name, a Workload, or an object with the members of nemo_lab.search.Problem",
        )
    return problem, recipe


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

    A problem may have a method ``former_fingerprints`` that gives what earlier versions of it wrote; a stored
    result that has any of the forms holds for the problem.
    """
    former = getattr(problem, "former_fingerprints", tuple)
    return (fingerprint(problem), *map(_texts, former()))


def fingerprint(problem: Problem) -> dict[str, str]:
    """Digests by part of all that a problem's results depend on, as far as can be known.

    A problem may have a method ``fingerprint`` that says it; else its description and its class are taken.
    """
    own = getattr(problem, "fingerprint", None)
    if own is not None:
        return _texts(own())
    description = repr((problem.node_names, problem.bit_widths, problem.objective_names)).encode()
    found = hashlib.blake2b(description, digest_size=16)
    for array in (problem.node_features, problem.edges):
        found.update(np.ascontiguousarray(array).tobytes())
    kind = type(problem)
    return {"workload": found.hexdigest(), "settings": f"{kind.__module__}.{kind.__qualname__}"}


def _texts(digests: Mapping[str, str]) -> dict[str, str]:
    return {str(part): str(value) for part, value in digests.items()}
