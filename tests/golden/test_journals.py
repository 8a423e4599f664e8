"""Journals of every format: they open, go on bit for bit, and seed studies of later engines."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nemo_lab as nl
from nemo_lab.errors import StorageError
from nemo_lab.export import load_bits, load_front
from tests.golden.digests import digest

JOURNALS = Path(__file__).parent / "journals"
Golden = tuple[Path, dict[str, Any]]
FORMATS = ("format1", "format2", "format3")


@pytest.fixture(params=FORMATS)
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Golden:
    """A copy of a journal, and what is known of it."""
    path = Path(shutil.copy(JOURNALS / f"{request.param}.sqlite", tmp_path))
    return path, json.loads((JOURNALS / f"{request.param}.json").read_text())


class Counting(nl.QuantizationProblem):
    """Counts the configurations that it is asked for."""

    asked = 0

    def evaluate(self, bits: Any) -> Any:
        self.asked += len(np.atleast_2d(bits))
        return super().evaluate(bits)

    def fingerprint(self) -> dict[str, str]:
        return super().fingerprint()  # that it counts changes no result


def test_it_opens_to_look_at(golden: Golden) -> None:
    path, known = golden
    study = nl.load_study(path, read_only=True)
    assert digest(study) == known["stored"]
    study.close()


def test_it_goes_on_bit_for_bit(golden: Golden) -> None:
    path, known = golden
    study = nl.load_study(path)
    assert digest(study) == known["stored"]
    study.optimize(until=150, progress=False)
    assert digest(study) == known["at_150"]
    assert sorted(map(int, study.front().index)) == known["front_at_150"]
    study.close()


def test_it_is_gone_through_again_from_the_record_alone(golden: Golden) -> None:
    path, known = golden
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM checkpoints")
        connection.commit()
    study = nl.load_study(path)
    assert digest(study) == known["stored"]
    study.optimize(until=150, progress=False)
    assert digest(study) == known["at_150"]
    study.close()


def test_what_it_measured_costs_a_new_study_nothing(golden: Golden, digits: nl.Workload) -> None:
    path, _ = golden
    old = nl.load_study(path, read_only=True)
    front = old.evaluations(bits=True).loc[old.front().index]
    rows = front[list(old.problem.node_names)].to_numpy()
    expected = front[list(old.problem.objective_names)].to_numpy()
    old.close()
    problem = Counting(digits)
    study = nl.create_study(problem, storage=path)
    study.enqueue(rows)
    study.optimize(len(rows), progress=False)
    assert problem.asked == 0
    found = study.evaluations()[list(problem.objective_names)].to_numpy()
    assert np.array_equal(found, expected)
    study.close()


def test_what_a_new_study_measures_costs_it_nothing(golden: Golden, digits: nl.Workload) -> None:
    path, _ = golden
    study = nl.create_study(digits, storage=path, name="new", seed=99)
    study.optimize(6, progress=False)
    rows = study.evaluations(bits=True)[list(study.problem.node_names)].to_numpy()
    study.close()
    problem = Counting(digits)
    old = nl.load_study(path, "golden", problem=problem)
    expected = problem.evaluate(rows)
    problem.asked = 0
    for row, values in zip(rows, expected, strict=True):
        assert np.array_equal(old.what_if(row).to_numpy(), values)
    assert problem.asked == 0
    old.close()


def test_another_engine_shows_it_and_begins_anew(
    golden: Golden, digits: nl.Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, known = golden
    monkeypatch.setattr("nemo_lab.search.ENGINE_VERSION", 2)
    with pytest.raises(StorageError, match="version 1 of the search, this is version 2") as refused:
        nl.load_study(path)
    assert f"load_study({str(path)!r}, read_only=True)" in refused.value.hint
    assert f"create_study(problem, storage={str(path)!r})" in refused.value.hint
    shown = nl.load_study(path, read_only=True)
    assert digest(shown) == known["stored"]
    front = shown.evaluations(bits=True).loc[shown.front().index, list(shown.problem.node_names)].to_numpy()
    shown.close()
    problem = Counting(digits)
    study = nl.create_study(problem, storage=path)
    study.enqueue(front)
    study.optimize(len(front), progress=False)
    assert problem.asked == 0
    study.close()
    assert nl.load_study(path, problem=problem).options == study.options  # of this engine: it goes on
    monkeypatch.setattr("nemo_lab.search.ENGINE_VERSION", 1)
    with pytest.raises(StorageError, match="version 2 of the search, this is version 1"):
        nl.load_study(path, problem=problem)


def test_its_front_and_its_configuration_open(digits: nl.Workload) -> None:
    problem = nl.QuantizationProblem(digits)
    front = json.loads((JOURNALS / "format2-front.json").read_text())["front"]
    rows = load_front(JOURNALS / "format2-front.json", problem)
    assert rows.tolist() == [member["bits"] for member in front]
    config = json.loads((JOURNALS / "format2-config.json").read_text())
    bits = load_bits(JOURNALS / "format2-config.json", problem)
    assert bits.tolist() == [node["bits"] for node in config["nodes"]]
    assert problem.evaluate(bits)[0].tolist() == list(config["objectives"].values())
