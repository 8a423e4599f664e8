"""From a name, a workload or a problem to a study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nemo_lab.errors import ArgumentError, DataError
from nemo_lab.search import Problem, SearchOptions
from nemo_lab.search.species import NAMES
from nemo_lab.study.study import Study
from nemo_lab.workload.workload import Workload


def create_study(
    problem: Any,
    *,
    seed: int = 0,
    species: Sequence[Any] = NAMES,
    population: int | None = None,
    **options: Any,
) -> Study:
    """A study that is ready to ``start`` or ``optimize``.

    Args:
        problem: name of a workload in the zoo, a ``Workload`` that came with data, or any problem.
        seed: same seed and same steers give bit-identical evaluations.
        species: names, or classes and objects of your own.
        population: members of all species together.
        **options: further constants of the search, see ``nemo_lab.search.SearchOptions``.

    Raises:
        UnknownNameError: on an unknown workload, species or option.
        ArgumentError, DataError: on anything else that cannot be used.

    >>> study = create_study("digits", seed=1, population=8, min_size=2)
    >>> study.optimize(16, progress=False).state
    'finished'
    >>> len(study.evaluations())
    16
    """
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
            f"a {type(problem).__name__} is no problem to search",
            "give a workload's name, a Workload, or an object with the members of nemo_lab.search.Problem",
        )
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ArgumentError(f"seed={seed!r}", "give a whole number of at least 0")
    if population is not None:
        options["population"] = population
    return Study(problem, seed=int(seed), species=species, options=SearchOptions.make(**options))
