"""Studies whose snapshots the figures show."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nemo_lab import QuantizationProblem, Study, create_study
from tests.plots.objectives import ManyObjectives
from tests.toy import ToyProblem

REAL = ("continuous", "floor")


@pytest.fixture(scope="session")
def toy_study() -> Study:
    """Five generations of four species."""
    return create_study(ToyProblem(), population=16, min_size=2).optimize(90, progress=False)


@pytest.fixture(scope="session")
def digits_study(digits_problem: QuantizationProblem) -> Study:
    return create_study(digits_problem, population=12, min_size=2).optimize(40, progress=False)


@pytest.fixture(scope="session")
def study_of() -> Callable[[int], Study]:
    """A study of as many objectives as asked for, each made once."""
    made: dict[int, Study] = {}

    def make(objectives: int) -> Study:
        if objectives not in made:
            problem = ManyObjectives(objectives)
            study = create_study(problem, species=REAL, population=12, min_size=2)
            made[objectives] = study.optimize(40, progress=False)
        return made[objectives]

    return make
