"""From a name, a workload or a problem to a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nemo_lab.errors import ArgumentError, DataError, UnknownNameError
from nemo_lab.search import Problem, SearchOptions
from nemo_lab.search.options import PRESETS
from nemo_lab.study.budget import checked_whole
from nemo_lab.study.study import Study
from nemo_lab.workload.workload import Workload


def create_study(
    problem: Any,
    *,
    seed: int = 0,
    preset: str = "default",
    species: Sequence[Any] | None = None,
    population: int | None = None,
    constraints: Sequence[str] = (),
    aspiration: Mapping[str, Any] | None = None,
    workers: int = 1,
    **options: Any,
) -> Study:
    """A study that is ready to ``start`` or ``optimize``.

    Args:
        problem: name of a workload in the zoo, a ``Workload`` that came with data, or any problem.
        seed: same seed and same steers give bit-identical evaluations.
        preset: ``"default"``, or ``"paper"`` for the search of arXiv 2106.07611 to the letter.
        species: names, or classes and objects of your own; the preset's by default.
        population: members of all species together.
        constraints: as for ``Study.constrain``.
        aspiration: objective -> largest value or (smallest, largest), as for ``Study.aspire``.
        workers: evaluations made at once, each in a thread; they change nothing but the time. A
            ``QuantizationProblem`` makes one at a time, and uses its own ``threads``.
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
    seed = checked_whole("seed", seed, 0)
    if preset not in PRESETS:
        raise UnknownNameError("preset", preset, PRESETS)
    chosen = PRESETS[preset]
    workers = checked_whole("workers", workers, 1)
    if population is not None:
        options["population"] = population
    made = SearchOptions.make(**{**chosen.options, **options})
    study = Study(
        problem,
        seed=seed,
        species=chosen.species if species is None else species,
        options=made,
        workers=workers,
    )
    if constraints:
        study.constrain(*((constraints,) if isinstance(constraints, str) else constraints))
    if aspiration:
        study.aspire(**aspiration)
    return study
