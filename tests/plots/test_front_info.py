"""What the front panel shows, against numbers worked out by hand and against the study's tables."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from nemo_lab import NemoWarning, Study, create_study
from nemo_lab.plots import front_columns, front_info
from nemo_lab.plots.front_columns import Places
from nemo_lab.plots.info import FrontInfo
from tests.plots.objectives import ByHandProblem
from tests.toy import ToyProblem

# all 8 bits, all 4, all 2, and one that pays for 8 bits where they are of no use
BY_HAND = [[8] * 6, [4] * 6, [2] * 6, [4, 8, 8, 8, 8, 8]]


def shown(study: Study) -> FrontInfo:
    return front_info(study.snapshot, study.problem, [one.name for one in study.species])


@pytest.fixture
def by_hand() -> Study:
    study = create_study(ByHandProblem(), species=("floor",), population=4, min_size=1)
    study.enqueue(BY_HAND)
    return study.optimize(4, progress=False)


def test_values_by_hand_and_an_error_is_drawn_as_accuracy(by_hand: Study) -> None:
    info = shown(by_hand)
    assert [one.name for one in info.axes] == ["task_error", "model_ratio", "bitop_ratio"]
    expected = [
        [127 / 128, 8 / 32, 8 / 32],
        [7 / 8, 4 / 32, 4 / 32],
        [1 / 2, 2 / 32, 2 / 32],
        [7 / 8, 44 / 6 / 32, 8 / 32],
    ]
    assert info.values == pytest.approx(np.array(expected), abs=1e-12)
    assert info.on_front.tolist() == [True, True, True, False]
    assert info.feasible.all()
    assert info.species.tolist() == [-1] * 4


def test_a_pin_leaves_what_satisfies_it(by_hand: Study) -> None:
    with pytest.warns(NemoWarning, match="projected"):
        by_hand.pin("layer0.input", 4)
    info = shown(by_hand)
    assert info.feasible.tolist() == [False, True, False, True]
    assert info.on_front.tolist() == [False, True, False, False]
    faint = front_columns(info)["evaluated"]
    alpha = dict(zip(faint["key"].tolist(), faint["alpha"].tolist(), strict=True))
    assert alpha[0] == alpha[2] < alpha[3]
    assert np.isnan(faint["y"]).tolist() == [True, True, True, False]  # drawn elsewhere: on a front
    assert info.beyond.tolist() == [0, 2]  # what the pin hides of the whole front
    assert front_columns(info)["beyond"]["key"].tolist() == [0, 2]
    by_hand.unpin()
    assert shown(by_hand).on_front.tolist() == [True, True, True, False]


def test_the_chosen_configuration_is_ringed_where_it_lies(by_hand: Study) -> None:
    info = shown(by_hand)
    ring = front_columns(info, chosen=3)["chosen"]
    assert [float(ring[axis][0]) for axis in ("y", "x1", "x2")] == info.values[3].tolist()
    assert len(front_columns(info)["chosen"]["y"]) == 0
    assert len(front_columns(info, chosen=4)["chosen"]["y"]) == 0


def test_references_stand_where_they_are_told_to(by_hand: Study) -> None:
    drawn = front_columns(shown(by_hand), references=[("8 bit", np.array([0.9, 0.25, 0.5]))])["references"]
    assert {name: list(column) for name, column in drawn.items()} == {
        "y": [0.9],
        "x1": [0.25],
        "x2": [0.5],
        "text": ["8 bit"],
    }


def test_digits_accuracy_is_one_minus_the_error(digits_study: Study) -> None:
    info = shown(digits_study)
    table = digits_study.evaluations()
    assert info.values[:, 0] == pytest.approx(1 - table.task_error.to_numpy(), abs=1e-12)
    assert info.values[:, 1] == pytest.approx(table.model_ratio.to_numpy(), abs=1e-12)
    assert info.values[:, 2] == pytest.approx(table.bitop_ratio.to_numpy(), abs=1e-12)


@pytest.mark.parametrize("name", ["toy_study", "digits_study"])
def test_the_front_is_the_study_s(name: str, request: pytest.FixtureRequest) -> None:
    study = request.getfixturevalue(name)
    info = shown(study)
    assert info.config[info.on_front].tolist() == sorted(study.front().index)
    columns = front_columns(info)
    table = study.evaluations()
    for part in ("front", "evaluated"):
        keys = columns[part]["key"]
        assert columns[part]["species"].expand() == table.species[keys].tolist()
        assert columns[part]["generation"].tolist() == table.generation[keys].tolist()
    assert columns["evaluated"]["key"].tolist() == list(range(len(table)))
    drawn = columns["evaluated"]["key"][~np.isnan(columns["evaluated"]["y"])]
    assert sorted([*columns["front"]["key"], *drawn]) == list(range(len(table)))


@pytest.mark.parametrize(
    ("count", "names"),
    [
        (1, ("loss", "loss", "loss")),
        (2, ("loss", "size", "loss")),
        (3, ("loss", "size", "work")),
        (4, ("loss", "size", "work")),
    ],
)
def test_any_number_of_objectives(
    count: int, names: tuple[str, ...], study_of: Callable[[int], Study]
) -> None:
    study = study_of(count)
    info = shown(study)
    assert tuple(one.name for one in info.axes) == names
    table = study.evaluations()
    for k, name in enumerate(names):
        assert info.values[:, k].tolist() == table[name].tolist()
    assert info.config[info.on_front].tolist() == sorted(study.front().index)


def test_markers_tell_species_and_hand_apart() -> None:
    study = create_study(ToyProblem(), species=("continuous", "floor"), population=8, min_size=2)
    study.enqueue([[8] * 6, [2] * 6])
    study.optimize(40, progress=False)
    columns = front_columns(shown(study))["front"]
    by_species: dict[str, set[str]] = {}
    for species, marker in zip(columns["species"].expand(), columns["marker"].expand(), strict=True):
        by_species.setdefault(species, set()).add(marker)
    assert by_species.keys() == {"continuous", "floor", "no species"}
    assert all(len(markers) == 1 for markers in by_species.values())
    assert len(set.union(*by_species.values())) == 3


def test_nothing_is_drawn_before_the_first_evaluation() -> None:
    columns = front_columns(shown(create_study(ToyProblem(), species=("floor",))), chosen=0)
    assert all(len(column) == 0 for part in ("evaluated", "front", "chosen") for column in
               (columns[part]["y"], columns[part]["x1"], columns[part]["x2"]))  # fmt: skip


def test_a_member_keeps_its_row_while_it_is_on_the_front() -> None:
    rng = np.random.default_rng(0)
    places, before = Places(), np.zeros(0, dtype=np.intp)
    ids = np.arange(0)
    for _ in range(50):
        ids = np.unique(np.append(ids[rng.random(len(ids)) < 0.8], rng.integers(1000, size=rng.integers(5))))
        rows = places.of(ids)
        assert sorted(rows[rows >= 0]) == ids.tolist()
        kept = min(len(before), len(rows))
        stays = np.isin(before[:kept], ids) & (before[:kept] >= 0)
        assert (rows[:kept] == before[:kept])[stays].all() or len(rows) == len(ids)
        assert len(rows) <= 4 * len(ids) + 5
        before = rows.copy()
