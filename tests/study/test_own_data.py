"""What people hand over, and are handed, is theirs to change: the run and its record do not change."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nemo_lab as nl
from nemo_lab.errors import ArgumentError, BitWidthError
from nemo_lab.search.species.integer import IntegerSpecies
from tests.scripts import made_by
from tests.toy import ToyProblem

SMALL: dict[str, Any] = {"population": 8, "min_size": 2, "species": ("continuous", "integer"), "seed": 1}


def table(study: nl.Study) -> list[Any]:
    log = study.snapshot.evaluations
    return [log.bits.tolist(), log.objectives.tolist()]


def again(study: nl.Study, problem: Any) -> list[Any]:
    """The table that the script makes."""
    script = study.to_script().replace("problem = ...", "problem = given")
    return table(made_by(script, given=problem))


def test_an_array_that_was_enqueued_may_be_used_again() -> None:
    study = nl.create_study(ToyProblem(), **SMALL).optimize(4, progress=False)
    row = np.full(6, 4, dtype=np.uint8)
    for width in (3, 5, 7):
        row[:] = width
        study.enqueue(row)
    row[:] = 8
    study.optimize(3, progress=False)
    assert sorted(study.snapshot.evaluations.bits[4:, 0].tolist()) == [3, 5, 7]
    assert again(study, ToyProblem()) == table(study)


class Knowing(ToyProblem):
    """Says a sensitivity, and goes on changing what it said."""

    def __init__(self) -> None:
        super().__init__()
        del self.sensitivity  # the toy's own numbers, which stand before a method
        self.said = np.linspace(1, 2, 6 * 7).reshape(6, 7)[:, ::-1].copy()

    def sensitivity(self) -> Any:
        return self.said

    def evaluate(self, bits: Any) -> Any:
        self.said *= 1.5
        return np.column_stack([(2.0 ** (2.0 - np.asarray(bits, dtype=float))).mean(1), self.costs(bits)])


def test_a_sensitivity_is_nobody_elses(tmp_path: Path) -> None:
    study = nl.create_study(Knowing(), storage=tmp_path / "run.sqlite", **SMALL).optimize(10, progress=False)
    found = study.sensitivity()
    assert found is not None
    kept = found.copy()
    found /= 100
    assert np.array_equal(study.sensitivity(), kept)  # type: ignore[arg-type]
    study.reseed("integer", "sensitivity", 1.0)
    study.optimize(30, progress=False)
    assert again(study, Knowing()) == table(study)


class Buffered(ToyProblem):
    """Gives the same array each time, with other numbers in it."""

    def __init__(self) -> None:
        super().__init__()
        self.out = np.zeros((1, 3))

    def evaluate(self, bits: Any) -> Any:
        self.out[:] = super().evaluate(bits)
        return self.out


@pytest.mark.parametrize("workers", [1, 2])
def test_what_an_evaluation_gave_stays_what_it_was(workers: int) -> None:
    study = nl.create_study(Buffered(), workers=workers, **SMALL)
    first = study.what_if(4)
    kept = first.copy()
    study.what_if(8)
    assert study.what_if(4).equals(kept)
    study.optimize(20, progress=False)
    log = study.snapshot.evaluations
    assert np.array_equal(log.objectives, ToyProblem().evaluate(log.bits))


class Kind(enum.StrEnum):
    INTEGER = "integer"
    FRONT = "front"


class Named(ToyProblem):
    """Its names are elements of arrays."""

    def __init__(self) -> None:
        super().__init__()
        self.node_names = tuple(np.array(self.node_names))
        self.objective_names = tuple(np.array(self.objective_names))


@pytest.mark.filterwarnings("ignore::nemo_lab.NemoWarning")
@pytest.mark.parametrize("species", [np.str_("integer"), Kind.INTEGER], ids=["numpy", "enum"])
def test_texts_of_any_class_are_written_into_the_script(species: Any) -> None:
    study = nl.create_study(Named(), **SMALL).optimize(4, progress=False)
    node = study.problem.node_names[0]
    study.pin(node, 4)
    study.unpin(node)
    study.pin(node, (4, 6))
    study.aspire(**{study.problem.objective_names[0]: 0.9})
    study.share(species, 0.3)
    study.reseed(species, np.str_("front"), 0.5)
    study.reseed(species, Kind.FRONT, 0.5)
    study.freeze(species)
    study.optimize(10, progress=False)
    study.remove_species(species)
    study.optimize(6, progress=False)
    assert again(study, Named()) == table(study)
    assert "np." not in study.to_script()
    digits = nl.create_study(np.str_("digits"), population=8, min_size=2)
    assert "np." not in digits.to_script()


def test_nothing_is_no_configuration() -> None:
    study = nl.create_study(ToyProblem(), **SMALL).optimize(4, progress=False)
    with pytest.raises(BitWidthError, match="enqueue got no configuration"):
        study.enqueue(study.snapshot.evaluations.bits[:0])
    assert len(study.interventions()) == 0


class Bold(IntegerSpecies):
    """Has the name of the one that it inherits from."""


def test_a_species_of_ones_own_has_a_name_of_its_own() -> None:
    with pytest.raises(ArgumentError, match="your Bold is called 'integer', as a species of nemo_lab's is"):
        nl.create_study(ToyProblem(), population=8, min_size=2, species=[Bold, "floor"])
    study = nl.create_study(ToyProblem(), **SMALL)
    with pytest.raises(ArgumentError, match="your Bold is called 'integer'"):
        study.add_species(Bold)
    made = nl.create_study(ToyProblem(), population=8, min_size=2, species=[IntegerSpecies, "floor"])
    assert [one.name for one in made.species] == ["integer", "floor"]
