"""How far back undo reaches, and what of the members that were replaced is kept for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nemo_lab import create_study
from nemo_lab.search import turnover as module
from nemo_lab.search.decisions import UNDOABLE
from nemo_lab.search.members import Member
from nemo_lab.search.turnover import Turnover, bounded, size
from tests.toy import ToyProblem

OPTIONS: dict[str, Any] = {"species": ("continuous", "floor"), "population": 12, "min_size": 2}


def members(count: int, numbers: int = 1000) -> tuple[Member, ...]:
    return tuple(Member(0, np.zeros(numbers), "random") for _ in range(count))


def test_the_last_hundred_can_be_undone() -> None:
    study = create_study(ToyProblem(), **OPTIONS)
    first, second, *_ = study.problem.node_names
    study.pin(first, 4)
    for _ in range(UNDOABLE):
        study.share("floor", 0.4)
    study.pin(second, 4)
    for _ in range(UNDOABLE):
        study.undo()
    assert study.pins == {first: 4}
    assert not study.snapshot.undo
    for _ in range(UNDOABLE):
        study.redo()
    assert study.pins == {first: 4, second: 4}


def test_what_is_kept_for_undo_has_a_limit_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 50_000)
    newest, older, oldest = (Turnover(left=members(3)) for _ in range(3))
    kept = bounded([newest, older, oldest], [])
    assert [len(one.left) for one in kept] == [3, 3, 0]
    assert [one.lost for one in kept] == [0, 0, 3]
    again = bounded(kept, [])
    assert [(one.left, one.lost) for one in again] == [(one.left, one.lost) for one in kept]


def test_who_lives_or_is_kept_anyway_takes_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 25_000)
    shared, living = members(3), members(20)
    kept = bounded([Turnover(shared, living), Turnover((), shared), Turnover((), shared)], living)
    assert [one.left for one in kept] == [living, shared, shared]
    assert kept[0].entered == shared[:0], "nobody brings back who entered and is gone"


def test_undo_beyond_the_limit_takes_back_the_rest_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 0)
    study = create_study(ToyProblem(), **OPTIONS).optimize(40, progress=False)
    study.remove_species("floor")
    study.undo()
    assert "members lie too far back to return" in study.interventions()["detail"].iloc[-1]
    assert bool(study.controls()["takes_part"].all())
    study.optimize(60, progress=False)
    assert study.controls()["members"]["floor"] >= 2, "it has new ones"


def test_the_size_of_a_genome_is_that_of_its_arrays() -> None:
    assert size(np.zeros(10)) == 80
    assert size((np.zeros(3, np.float32), [np.zeros(2)])) == 12 + 16
    assert size(object()) > 0
