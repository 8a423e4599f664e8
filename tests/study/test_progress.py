"""How far a study got, and several side by side, against brute force over all evaluations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import nemo_lab as nl
from nemo_lab import Study, create_study
from nemo_lab.errors import ArgumentError
from nemo_lab.search.indicators import hypervolume, r2, uniform_directions
from tests.toy import ToyProblem
from tests.waiting import PATIENCE


def make(seed: int = 0, count: int = 0, problem: Any = None, **options: Any) -> Study:
    given = {"species": ("continuous", "floor"), "population": 8, "min_size": 2, "preset": "paper", **options}
    study = create_study(problem or ToyProblem(), seed=seed, **given)
    return study.optimize(count, progress=False) if count else study


def vectors(study: Study) -> np.ndarray:
    return study.evaluations()[list(study.problem.objective_names)].to_numpy()


def front_of(rows: np.ndarray) -> list[tuple[float, ...]]:
    """Distinct non-dominated rows, one by one."""
    distinct = sorted({tuple(row) for row in rows.tolist()})
    return [
        one for one in distinct if not any(o != one and all(np.array(o) <= np.array(one)) for o in distinct)
    ]


@pytest.fixture(scope="module")
def studies() -> list[Study]:
    return [make(0, 60), make(1, 45), make(2, 110)]


def test_progress_equals_brute_force(studies: list[Study]) -> None:
    study = studies[0]
    found, curve = vectors(study), study.progress()
    bounds, directions = study.problem.objective_bounds, uniform_directions(3, 12)  # type: ignore[attr-defined]
    expected, before = [], []
    for count in range(1, len(found) + 1):
        now = front_of(found[:count])
        if now != before:
            members = np.array(now)
            expected.append((count, len(now), hypervolume(members, bounds), r2(members, directions)))
        before = now
    assert list(curve.columns) == ["evaluations", "front", "hypervolume", "r2"]
    assert curve.to_numpy() == pytest.approx(np.array(expected))
    assert curve["hypervolume"].is_monotonic_increasing
    assert curve["r2"].is_monotonic_decreasing
    assert len(curve) < len(found)


def test_progress_counts_the_front_of_all_whatever_the_wishes() -> None:
    one, two = make(3, 40), make(3)
    two.optimize(40, progress=False)
    two.constrain("loss <= 0.0001")
    two.pin({"layer0.input": 8})
    pd.testing.assert_frame_equal(one.progress(), two.progress())


def test_compare_equals_brute_force(studies: list[Study]) -> None:
    table = nl.compare(studies, ["a", "b", "c"], at=(1, 50, 100, 500), targets=(0.3, 0.999999))
    assert table.index.tolist() == ["a", "b", "c"]
    assert table.index.name == "study"
    bounds = studies[0].problem.objective_bounds  # type: ignore[attr-defined]
    volumes = [[hypervolume(vectors(s)[: n + 1], bounds) for n in range(len(vectors(s)))] for s in studies]
    best = max(one[-1] for one in volumes)
    for name, study, volume in zip("abc", studies, volumes, strict=True):
        row, found = table.loc[name], vectors(study)
        assert row["evaluations"] == len(found)
        assert row["distinct"] == len(
            study.evaluations(bits=True)[list(study.problem.node_names)].drop_duplicates()
        )
        assert row["front"] == len(front_of(found))
        assert row["hypervolume"] == pytest.approx(volume[-1])
        assert row["r2"] == pytest.approx(r2(found, uniform_directions(3, 12)))
        for at in (1, 50, 100, 500):
            assert row[f"hypervolume@{at}"] == pytest.approx(
                volume[at - 1] if at <= len(found) else np.nan, nan_ok=True
            )
        wanted = {"90%": 0.9 * best, "95%": 0.95 * best, "99%": 0.99 * best, "0.3": 0.3, "0.999999": 0.999999}
        for label, target in wanted.items():
            first = next((n + 1 for n, value in enumerate(volume) if value >= target), np.nan)
            assert row[f"to_{label}"] == pytest.approx(first, nan_ok=True)
    assert table["to_0.999999"].isna().all()
    assert table["to_99%"].notna().any()


def test_rows_have_numbers_by_default(studies: list[Study]) -> None:
    table = nl.compare(studies[:2])
    assert table.index.tolist() == [0, 1]
    assert [name for name in table if "@" in name] == [f"hypervolume@{n}" for n in (100, 250, 500, 1000)]
    pd.testing.assert_frame_equal(nl.compare(iter(studies[:2])), table)  # type: ignore[arg-type]


def test_a_study_without_evaluations() -> None:
    fresh = make()
    curve = fresh.progress()
    assert len(curve) == 0
    assert list(curve.columns) == ["evaluations", "front", "hypervolume", "r2"]
    table = nl.compare([fresh, make(1, 10)], at=(5,), targets=(0.1,))
    assert table.loc[0, ["evaluations", "distinct", "front", "hypervolume"]].tolist() == [0, 0, 0, 0]
    assert table.loc[0, ["r2", "hypervolume@5", "to_90%", "to_0.1"]].isna().all()
    assert table.loc[1, ["r2", "hypervolume@5", "to_90%"]].notna().all()
    alone = nl.compare([fresh])
    assert alone["hypervolume"].tolist() == [0.0]
    assert alone["to_99%"].isna().all()


def test_counts_are_known_while_a_study_runs() -> None:
    study = make()
    study.start(400)
    seen = [len(study.progress()) for _ in range(20)]
    assert seen == sorted(seen)
    assert study.wait(PATIENCE)
    assert nl.compare([study])["evaluations"].tolist() == [400]


class Renamed(ToyProblem):
    objective_names = ("loss", "size", "energy")
    cost_names = ("size", "energy")


@pytest.mark.parametrize(
    ("others", "names", "message"),
    [
        ([], None, "0 studies and 0 names; give one name for each"),
        ([ToyProblem()], ["a", "b"], "1 studies and 2 names"),
        ([ToyProblem(), ToyProblem()], ["a"], "2 studies and 1 names"),
        ([ToyProblem(), Renamed()], None, "'Renamed' has other objectives or bounds than 'ToyProblem'"),
        ([ToyProblem(), ToyProblem(6, (2, 4))], None, "other objectives or bounds.*studies of one problem"),
    ],
)
def test_what_cannot_be_compared_is_refused(others: list[Any], names: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        nl.compare([make(problem=problem) for problem in others], names)
