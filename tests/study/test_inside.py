"""Code of one's own that is called by a run, and asks for what waits for that run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nemo_lab import Study, create_study, load_study
from nemo_lab.errors import StudyStateError
from tests.toy import ToyProblem
from tests.waiting import PATIENCE

pytestmark = pytest.mark.filterwarnings("ignore::nemo_lab.NemoWarning")
Asked = Callable[[Study, Path], object]
WAITING: dict[str, Asked] = {
    "wait": lambda study, _: study.wait(),
    "what_if": lambda study, _: study.what_if([2, 8, 2, 8, 2, 8]),
    "save_as": lambda study, path: study.save_as(path),
    "stop and wait": lambda study, _: (study.stop(), study.wait()),
}


class Asking(ToyProblem):
    """Asks for something in its fifth evaluation, and keeps what became of it."""

    def __init__(self) -> None:
        super().__init__()
        self.ask: Callable[[], object] | None = None
        self.told: list[BaseException] = []

    def evaluate(self, bits: Any) -> Any:
        if self.ask is not None and self.calls >= 4:
            ask, self.ask = self.ask, None
            try:
                ask()
            except StudyStateError as error:
                self.told.append(error)
        return super().evaluate(bits)

    def fingerprint(self) -> dict[str, str]:
        return {"workload": "asking"}


def make(path: Path, problem: Any, workers: int) -> Study:
    return create_study(
        problem, storage=path, species=("floor", "integer"), population=16, min_size=2, workers=workers
    )


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("what", WAITING)
def test_an_evaluation_that_waits_for_its_run_is_told(tmp_path: Path, what: str, workers: int) -> None:
    problem = Asking()
    study = make(tmp_path / "run.sqlite", problem, workers)
    problem.ask = lambda: WAITING[what](study, tmp_path / "other.sqlite")
    study.start(20)
    assert study.wait(PATIENCE)
    assert ["would wait for the run" in str(one) for one in problem.told] == [True]
    study.optimize(until=25, progress=False)
    study.close()
    assert len(load_study(tmp_path / "run.sqlite", read_only=True).evaluations()) == 25


@pytest.mark.parametrize("what", WAITING)
@pytest.mark.parametrize("running", [False, True])
def test_a_listener_that_waits_for_its_run_is_told(tmp_path: Path, what: str, running: bool) -> None:
    study = make(tmp_path / "run.sqlite", ToyProblem(), 1)
    told: list[BaseException] = []

    def ask() -> None:
        study.forget(ask)
        try:
            WAITING[what](study, tmp_path / "other.sqlite")
        except StudyStateError as error:
            told.append(error)

    if not running:
        study.optimize(5, progress=False)
    study.listen(ask)
    if running:
        study.start(20)
        assert study.wait(PATIENCE)
    else:
        study.pin("layer0", weight=8)
    assert len(told) == (0 if not running and "wait" in what else 1)  # nobody runs: there is no waiting
    study.optimize(until=25, progress=False)
    assert len(study.evaluations()) == 25
    study.close()


@pytest.mark.parametrize("workers", [1, 3])
def test_an_evaluation_closes_its_study(tmp_path: Path, workers: int) -> None:
    problem = Asking()
    study = make(tmp_path / "run.sqlite", problem, workers)
    problem.ask = study.close
    study.start(20)
    assert study.wait(PATIENCE)
    made = study.evaluations(bits=True)
    assert study.state == "idle"
    assert len(made) < 20
    again = load_study(tmp_path / "run.sqlite", problem=Asking())
    assert again.evaluations(bits=True).equals(made)
    again.close()
