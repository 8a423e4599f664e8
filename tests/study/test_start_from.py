"""A search that starts from known configurations: evaluated first, bred from, in every record of it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nemo_lab import NemoError, NemoWarning, Study, create_study, load_study
from nemo_lab.errors import ArgumentError, BitWidthError, DataError, UnknownNameError
from nemo_lab.export import load_front, save_bits, save_front, save_json
from nemo_lab.search import ORIGINS
from nemo_lab.search.presets import PRESETS
from nemo_lab.search.species.real import ContinuousSpecies
from tests.scripts import made_by
from tests.toy import ToyProblem

NAMES = ToyProblem().node_names
ONE, TWO = [2, 3, 4, 5, 6, 7], [8, 8, 2, 2, 4, 4]
MAP = dict(zip(NAMES, ONE, strict=True))


@pytest.fixture(autouse=True)
def quiet() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NemoWarning)
        yield


def make(start: Any = None, preset: str = "default", **options: Any) -> Study:
    return create_study(
        ToyProblem(), preset=preset, population=16, seed=5, **{"start_from": start, **options}
    )


def first(study: Study, count: int) -> list[list[int]]:
    study.optimize(count, progress=False)
    return [[int(width) for width in row] for row in study.snapshot.evaluations.bits[:count]]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (MAP, [ONE]),
        (pd.Series(MAP), [ONE]),
        (np.array(ONE, dtype=np.uint8), [ONE]),
        (ONE, [ONE]),
        ([ONE, TWO], [ONE, TWO]),
        ([MAP, {"*": 4, "layer0": 8}], [ONE, [8, 8, 4, 4, 4, 4]]),
        ([np.array(ONE), np.array([TWO, ONE])], [ONE, TWO]),
        (4, [[4] * 6]),
        ([ONE, ONE, TWO, ONE], [ONE, TWO]),
    ],
)
def test_what_is_given_is_evaluated_first(start: Any, expected: list[list[int]]) -> None:
    study = make(start)
    assert first(study, len(expected)) == expected
    assert set(study.evaluations()["origin"]) == {"enqueued"}
    assert list(study.interventions()["detail"]) == [
        f"{len(expected)} configurations, taken in by the species"
    ]


def test_files_of_every_kind_and_several_together(tmp_path: Path) -> None:
    found = make().optimize(30, progress=False)
    front = save_front(found, tmp_path / "front.json")
    one, table = save_bits(found, 3, tmp_path / "one.json"), save_bits(found, 5, tmp_path / "two.csv")
    record = save_json(found, 7, str(tmp_path / "three.json"))
    bits = found.snapshot.evaluations.bits
    assert first(make(str(table)), 1) == bits[[5]].tolist()
    assert first(make([one, str(table), record, MAP]), 4) == [*bits[[3, 5, 7]].tolist(), ONE]
    members = load_front(front, found.problem)
    assert first(make(front), len(members)) == members.tolist()


@pytest.mark.parametrize("preset", list(PRESETS))
def test_it_is_what_enqueue_does_by_hand(preset: str) -> None:
    by_hand = make(preset=preset)
    by_hand.enqueue([ONE, TWO], join=True)
    study = make([ONE, TWO], preset)
    for one in (by_hand, study):
        one.optimize(60, progress=False)
    assert study.evaluations(bits=True).equals(by_hand.evaluations(bits=True))
    assert study.interventions().equals(by_hand.interventions())


@pytest.mark.parametrize("preset", list(PRESETS))
def test_every_species_takes_a_part_of_it(preset: str) -> None:
    study = make([ONE, TWO], preset).optimize(100, progress=False)
    log = study.snapshot.evaluations
    taken = log.species[log.origin == ORIGINS.index("reseed")]
    if preset == "paper":  # which evaluates again what is known
        assert sorted(taken) == [0, 1, 2, 3]
    else:  # nothing is paid for twice
        assert set(taken) <= {0, 1, 2, 3}  # graph networks come close; what costs nothing is lifted
        assert len(np.unique(log.bits, axis=0)) == len(log)


def test_children_come_from_what_was_given() -> None:
    parents: list[bytes] = []

    class Watching(ContinuousSpecies):
        name = "watching"

        def offspring(self, given: Any, count: int, rng: np.random.Generator) -> list[Any]:
            parents.extend(self.decode(one).tobytes() for one in given)
            return super().offspring(given, count, rng)

    start = np.random.default_rng(0).choice([2, 8], size=(40, 6)).astype(np.uint8)
    study = make(start, "paper", species=[Watching, "floor"], initial=4).optimize(64, progress=False)
    log = study.snapshot.evaluations
    taken = log.bits[(log.origin == ORIGINS.index("reseed")) & (log.species == 0)]
    assert len(taken) == 8  # half of the population
    assert {row.tobytes() for row in taken} <= set(parents) & {row.tobytes() for row in start}


def test_pins_hold_for_it_too() -> None:
    study = make([ONE, TWO])
    study.pin("layer0.input", 5)
    assert first(study, 2) == [[5, *ONE[1:]], [5, *TWO[1:]]]
    study.optimize(40, progress=False)
    assert set(study.snapshot.evaluations.bits[:, 0]) == {5}


def test_undo_takes_it_back_and_redo_brings_it_again() -> None:
    study, plain, again = make(ONE), make(), make(ONE)
    study.undo()
    again.undo()
    again.redo()
    for one in (study, plain, again):
        one.optimize(40, progress=False)
    assert study.evaluations(bits=True).equals(plain.evaluations(bits=True))
    assert again.evaluations(bits=True).equals(make(ONE).optimize(40, progress=False).evaluations(bits=True))


@pytest.mark.parametrize(("preset", "workers"), [("default", 3), ("paper", 1)])
def test_it_survives_being_killed_and_taken_up(preset: str, workers: int, tmp_path: Path) -> None:
    whole = make([ONE, TWO], preset).optimize(60, progress=False)
    path = tmp_path / "run.sqlite"
    study = make([ONE, TWO], preset, storage=path, workers=workers)
    for count in (0, 1, 5, 60):
        if count:
            study.optimize(until=count, progress=False)
        study.close()
        study = load_study(path, problem=ToyProblem())
    assert study.evaluations(bits=True).equals(whole.evaluations(bits=True))
    script = study.to_script()
    assert f"study.enqueue([{ONE}, {TWO}], join=True)" in script
    again = made_by(script.replace("problem = ...", "problem = given"), given=ToyProblem())
    assert again.evaluations(bits=True).equals(whole.evaluations(bits=True))
    assert again.to_script() == script


def test_another_start_in_the_same_file_is_another_study(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    make([ONE], storage=path).optimize(5, progress=False).close()
    other = make([TWO, ONE], storage=path)
    assert first(other, 2) == [TWO, ONE]
    assert other.snapshot.reused == 1  # ONE was paid for by the first
    other.close()
    assert first(load_study(path, "study 1", problem=ToyProblem()), 1)[0] == ONE


@pytest.mark.parametrize(
    ("start", "error", "said"),
    [
        ([], NemoError, "start_from"),
        (np.empty((0, 6), dtype=np.uint8), ArgumentError, "holds no configuration; give one, or leave"),
        ([4, 4], BitWidthError, "start_from: .*give one width for each of the 6 nodes"),
        (9, BitWidthError, "start_from: bit-width 9 is not allowed; choose from 2, 3"),
        ({**MAP, NAMES[0]: 4.5}, BitWidthError, "start_from: bit-width 4.5"),
        ({"layer0": 4}, BitWidthError, "2 of 6 nodes have a width, .*put '\\*' with a width first"),
        ({"layr0": 4}, UnknownNameError, "start_from: no node or layer 'layr0'; did you mean 'layer0"),
        ("nowhere.csv", ArgumentError, "cannot read 'nowhere.csv'"),
        ([MAP, "nowhere.csv"], ArgumentError, "cannot read 'nowhere.csv'"),
        (object(), BitWidthError, "start_from"),
    ],
)
def test_what_cannot_be_started_from_leaves_no_study(
    start: Any, error: type[NemoError], said: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=said) as caught:
        make(start, storage=tmp_path / "run.sqlite")
    assert caught.value.hint
    assert not list(tmp_path.iterdir())


def test_a_table_that_names_too_little_says_how_to_fill_it(tmp_path: Path) -> None:
    path = tmp_path / "few.csv"
    path.write_text("layer0,4\n")
    with pytest.raises(DataError, match=r"load_bits\(path, problem, default=8\)"):
        make(path)
    path.write_text("*,8\nlayer0,4\n")
    assert first(make(path), 1) == [[4, 4, 8, 8, 8, 8]]
