"""A problem's sensitivity: asked for once, kept with the run, and refused where it is none."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import nemo_lab as nl
from nemo_lab.errors import EvaluationError
from nemo_lab.testing import check_problem
from tests.toy import Foreseeing, ToyProblem
from tests.waiting import PATIENCE

OPTIONS: dict[str, Any] = {"population": 12, "min_size": 1, "seed": 3}


def rows(study: nl.Study) -> np.ndarray:
    return study.snapshot.evaluations.bits


def test_it_is_asked_once_and_changes_the_search() -> None:
    problem = Foreseeing()
    check_problem(problem)
    problem.asked = 0
    study = nl.create_study(problem, **OPTIONS)
    assert not problem.asked, "nothing is asked before a run"
    study.optimize(30, progress=False)
    study.optimize(20, progress=False)
    assert problem.asked == 1
    assert [one.action for one in study.snapshot.record] == ["foresee"]
    assert study.interventions().empty, "nobody did that by hand"
    without = Foreseeing()
    without.sensitivity = None  # type: ignore[method-assign, assignment]
    other = nl.create_study(without, **OPTIONS).optimize(50, progress=False)
    assert np.array_equal(rows(study)[:7], rows(other)[:7])  # one width everywhere
    assert not np.array_equal(rows(study), rows(other))


def test_only_ratios_count() -> None:
    one, other = (
        nl.create_study(Foreseeing(factor), **OPTIONS).optimize(40, progress=False)
        for factor in (1.0, 2.0**20)
    )
    assert np.array_equal(rows(one), rows(other))


def test_a_table_will_do() -> None:
    class Table(Foreseeing):
        def sensitivity(self) -> pd.DataFrame:
            return pd.DataFrame(super().sensitivity(), index=self.node_names, columns=self.bit_widths)

    one, other = (
        nl.create_study(kind(), **OPTIONS).optimize(40, progress=False) for kind in (Table, Foreseeing)
    )
    assert np.array_equal(rows(one), rows(other))


def test_where_no_species_reads_it_nobody_asks() -> None:
    problem = Foreseeing()
    study = nl.create_study(problem, preset="paper", **OPTIONS).optimize(20, progress=False)
    assert not problem.asked
    assert not study.snapshot.record


def test_an_attribute_of_that_name_is_no_such_method() -> None:
    study = nl.create_study(ToyProblem(), **OPTIONS).optimize(20, progress=False)
    assert not study.snapshot.record


@pytest.mark.parametrize("engine_state", [True, False])
def test_a_run_goes_on_by_what_was_said_then(tmp_path: Path, engine_state: bool) -> None:
    """Also where the problem would say something else now, or nothing."""
    path = tmp_path / "run.sqlite"
    study = nl.create_study(Foreseeing(), storage=path, **OPTIONS).optimize(35, progress=False)
    study.close()
    if not engine_state:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("DELETE FROM checkpoints")
            connection.commit()
    problem = Foreseeing()
    taken_up = nl.load_study(path, problem=problem).optimize(until=60, progress=False)
    whole = nl.create_study(Foreseeing(), **OPTIONS).optimize(60, progress=False)
    assert not problem.asked
    assert np.array_equal(rows(taken_up), rows(whole))
    taken_up.close()


def test_the_script_makes_the_run_again(tmp_path: Path) -> None:
    study = nl.create_study(Foreseeing(), **OPTIONS)
    study.pin("layer0.*", 8)
    study.optimize(20, progress=False)
    study.reseed("integer", source="sensitivity")
    study.optimize(30, progress=False)
    text = study.to_script().replace("problem = ...", "problem = Foreseeing()")
    assert "foresee" not in text
    made: dict[str, Any] = {"Foreseeing": Foreseeing}
    exec(text, made)
    assert np.array_equal(rows(made["study"]), rows(study))


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_change_nothing(workers: int) -> None:
    study = nl.create_study(Foreseeing(), workers=workers, **OPTIONS).optimize(50, progress=False)
    one = nl.create_study(Foreseeing(), **OPTIONS).optimize(50, progress=False)
    assert np.array_equal(rows(study), rows(one))


@pytest.mark.parametrize(
    ("factor", "message"),
    [
        (np.nan, "sensitivity returned a damage that is not finite"),
        (np.inf, "sensitivity returned a damage that is not finite"),
        (-1.0, "sensitivity returned a damage that is negative"),
        (np.ones((2, 6, 7)), r"sensitivity returned shape \(2, 6, 7\) instead of \(6, 7\)"),
        (1j, "sensitivity returned"),
    ],
)
def test_what_is_none_ends_the_run_and_loses_nothing(factor: Any, message: str) -> None:
    problem = Foreseeing(factor)
    study = nl.create_study(problem, **OPTIONS)
    study.pin("layer0.*", 8)
    with pytest.raises(EvaluationError, match=message):
        study.optimize(20, progress=False)
    with pytest.raises(Exception, match=message):
        check_problem(problem)
    problem.factor = 1.0
    study.optimize(20, progress=False)
    assert len(study.evaluations()) == 20


def test_a_run_can_be_stopped_while_it_asks() -> None:
    asked, go_on = threading.Event(), threading.Event()

    class Slow(Foreseeing):
        def sensitivity(self) -> Any:
            asked.set()
            while not go_on.wait(0.01):
                nl.check_interrupted()
            return super().sensitivity()

    study = nl.create_study(Slow(), **OPTIONS)
    study.start(20)
    assert asked.wait(PATIENCE)
    study.stop()
    assert study.wait(PATIENCE)
    assert (study.state, len(study.evaluations())) == ("idle", 0)
    go_on.set()
    study.optimize(20, progress=False)
    whole = nl.create_study(Foreseeing(), **OPTIONS).optimize(20, progress=False)
    assert np.array_equal(rows(study), rows(whole))
