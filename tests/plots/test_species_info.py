"""What the species panel shows, against the study's own history."""

from __future__ import annotations

import numpy as np
import pytest

from nemo_lab import Study, create_study
from nemo_lab.plots import species_columns, species_info
from nemo_lab.plots.info import SpeciesInfo
from tests.toy import ToyProblem


def shown(study: Study) -> SpeciesInfo:
    return species_info(study.snapshot, [one.name for one in study.species])


@pytest.mark.parametrize("name", ["toy_study", "digits_study"])
def test_a_row_a_generation_as_in_the_history(name: str, request: pytest.FixtureRequest) -> None:
    study = request.getfixturevalue(name)
    info, history = shown(study), study.history()
    assert history.generation.nunique() >= 2
    once = history.drop_duplicates("generation")
    assert info.evaluations[1:-1].tolist() == once.evaluations.tolist()
    assert info.hypervolume[1:-1].tolist() == once.hypervolume.tolist()
    for field in ("allocation", "r2", "front_share"):
        table = history.pivot_table(index="generation", columns="species", values=field, dropna=False)
        expected = table[list(info.names)].to_numpy(dtype=float)
        np.testing.assert_array_equal(getattr(info, field)[1:-1], expected, err_msg=field)


@pytest.mark.parametrize("name", ["toy_study", "digits_study"])
def test_the_last_row_is_now(name: str, request: pytest.FixtureRequest) -> None:
    study = request.getfixturevalue(name)
    info, front = shown(study), study.front()
    assert info.evaluations[-1] == len(study.evaluations())
    assert info.hypervolume[-1] == study.snapshot.hypervolume
    assert info.allocation[-1].sum() == study.options.population
    shares = [(front.species == name).mean() for name in info.names]
    assert info.front_share[-1] == pytest.approx(shares)


def test_it_starts_from_nothing(toy_study: Study) -> None:
    info = shown(toy_study)
    assert info.evaluations[0] == 0
    assert info.hypervolume[0] == 0
    assert np.isnan(info.r2[0]).all()
    assert info.allocation[0].sum() == toy_study.options.population


def test_the_hypervolume_never_falls_without_pins(toy_study: Study) -> None:
    assert (np.diff(shown(toy_study).hypervolume) >= 0).all()


def test_columns_are_the_rows_of_each_species(toy_study: Study) -> None:
    info = shown(toy_study)
    columns = species_columns(info)["history"]
    assert columns["x"].tolist() == info.evaluations.tolist()
    position = info.names.index("gcn")
    assert columns[f"allocation_s{position}"].tolist() == info.allocation[:, position].tolist()
    np.testing.assert_array_equal(columns[f"r2_s{position}"], info.r2[:, position])
    np.testing.assert_array_equal(columns[f"share_s{position}"], info.front_share[:, position])


def test_before_the_first_generation() -> None:
    study = create_study(
        ToyProblem(), preset="paper", species=("continuous", "floor"), population=8, min_size=2
    )
    info = shown(study)
    assert info.evaluations.tolist() == [0, 0]
    assert info.hypervolume.tolist() == [0, 0]
    assert np.isnan(info.r2).all()
    study.optimize(3, progress=False)  # less than a generation
    info = shown(study)
    assert info.evaluations.tolist() == [0, 3]
    assert info.front_share[-1].sum() == pytest.approx(1)
