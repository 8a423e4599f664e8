"""Several evaluations at once, and runs that fail half way: nothing but the time may change."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nemo_lab import Study, create_study
from nemo_lab.errors import ArgumentError, EvaluationError
from tests.toy import ToyProblem
from tests.waiting import PATIENCE

FEW = (2, 4, 8)  # so that species often come upon the same configuration
SMALL: dict[str, Any] = {"population": 16, "min_size": 2}


class Meeting(ToyProblem):
    """Lets evaluations through only when as many of them are under way as it is told."""

    def __init__(self, parties: int) -> None:
        super().__init__()
        self.barrier = threading.Barrier(parties, timeout=PATIENCE)

    def evaluate(self, bits: Any) -> np.ndarray:
        self.barrier.wait()
        return super().evaluate(bits)


class Late(ToyProblem):
    """Takes longer for some: the first of several is ready last."""

    def evaluate(self, bits: Any) -> np.ndarray:
        threading.Event().wait(float(np.asarray(bits)[0, 0] % 3) / 1000)
        return super().evaluate(bits)


class Breaking(ToyProblem):
    """Raises once at each of the given configurations, whoever evaluates it and when."""

    def __init__(self, at: list[bytes]) -> None:
        super().__init__(bit_widths=FEW)
        self.at = list(at)
        self.lock = threading.Lock()

    def evaluate(self, bits: Any) -> np.ndarray:
        with self.lock:
            key = np.asarray(bits, dtype=np.uint8).tobytes()
            if key in self.at:
                self.at.remove(key)
                raise OSError("the accelerator went away")
        return super().evaluate(bits)


def steered(problem: ToyProblem, preset: str, workers: int, seed: int = 3) -> Study:
    """A run with every kind of steer, between two runs."""
    study = create_study(problem, preset=preset, seed=seed, workers=workers, **SMALL)
    study.pin("layer0.input", problem.bit_widths[-1])
    study.optimize(27, progress=False)
    study.unpin()
    study.constrain("size <= 0.15")
    study.enqueue(problem.bit_widths[0])
    study.optimize(18, progress=False)
    study.reseed("gcn", "front", 0.5)
    study.reseed("floor", fraction=0.4)
    study.aspire(loss=(0.0, 0.5))
    return study.optimize(24, progress=False)


def assert_same(one: Study, other: Study) -> None:
    pd.testing.assert_frame_equal(one.evaluations(bits=True), other.evaluations(bits=True), check_exact=True)
    pd.testing.assert_frame_equal(one.history(), other.history(), check_exact=True)
    assert one.front().index.tolist() == other.front().index.tolist()


@pytest.mark.parametrize("preset", ["paper", "default"])
def test_workers_change_nothing_in_the_result(preset: str) -> None:
    alone, again, two, five = (steered(ToyProblem(), preset, workers) for workers in (1, 1, 2, 5))
    assert len(alone.evaluations()) == 27 + 18 + 24
    for other in (again, two, five):
        assert_same(alone, other)
    pd.testing.assert_frame_equal(alone.interventions(), five.interventions())
    different = steered(ToyProblem(), preset, 1, seed=4)
    assert not different.evaluations(bits=True).equals(alone.evaluations(bits=True))


def test_workers_change_nothing_where_children_repeat() -> None:
    assert_same(*(steered(ToyProblem(bit_widths=FEW), "default", workers) for workers in (1, 4)))


def test_the_order_in_which_evaluations_end_does_not_matter() -> None:
    plain = create_study(ToyProblem(), seed=1, **SMALL).optimize(60, progress=False)
    assert_same(plain, create_study(Late(), seed=1, workers=4, **SMALL).optimize(60, progress=False))


def test_digits_with_workers_is_bit_identical() -> None:
    tables = [create_study("digits", seed=2, workers=w).optimize(20, progress=False) for w in (1, 3)]
    assert_same(*tables)


def test_as_many_evaluations_are_under_way_as_there_are_workers() -> None:
    study = create_study(Meeting(3), preset="paper", species=("floor",), population=12, workers=3)
    study.optimize(12, progress=False)  # fewer at once would wait in vain and fail
    assert len(study.evaluations()) == 12


@pytest.mark.parametrize(("budget", "made"), [(1, 1), (7, 7), (23, 23)])
def test_a_budget_is_met_exactly(budget: int, made: int) -> None:
    problem = ToyProblem()
    study = create_study(problem, workers=5, **SMALL).optimize(budget, progress=False)
    assert len(study.evaluations()) == made == problem.calls


@pytest.mark.parametrize("preset", ["paper", "default"])
def test_a_failure_loses_nothing_and_start_goes_on_as_if_undisturbed(preset: str) -> None:
    def make(problem: ToyProblem, workers: int) -> Study:
        return create_study(problem, preset=preset, seed=5, workers=workers, **SMALL)

    undisturbed = make(ToyProblem(bit_widths=FEW), 1).optimize(90, progress=False)
    table = undisturbed.evaluations(bits=True)
    bits = undisturbed.snapshot.evaluations.bits
    fatal = list(dict.fromkeys(row.tobytes() for row in bits[[0, 13, 31, 32, 45, 60, 75, 89]]))
    problem = Breaking(fatal)
    study = make(problem, 3)
    failures = 0
    study.start(90)
    while study.state != "finished":
        with contextlib.suppress(EvaluationError):
            assert study.wait(PATIENCE)
        if study.state == "failed":
            failures += 1
            assert "the accelerator went away" in str(study.snapshot.error)
            kept = study.evaluations(bits=True)
            pd.testing.assert_frame_equal(kept, table.iloc[: len(kept)], check_dtype=len(kept) > 0)
            study.start()
    assert problem.at == []
    assert len(fatal) // 2 <= failures <= len(fatal), "two may fail at once, and one is told"
    assert_same(study, undisturbed)


@pytest.mark.parametrize("workers", [0, -1, 1.5, True, "two"])
def test_workers_that_cannot_be(workers: Any) -> None:
    with pytest.raises(ArgumentError, match="workers="):
        create_study(ToyProblem(), workers=workers)
