"""check_species passes the four species and names the promise that is broken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from nemo_lab import QuantizationProblem
from nemo_lab.errors import UnknownNameError
from nemo_lab.search import SearchOptions
from nemo_lab.search.species import NAMES
from nemo_lab.search.species.real import ContinuousSpecies
from nemo_lab.testing import ContractError, check_species
from tests.toy import ToyProblem


@pytest.mark.parametrize("name", NAMES)
def test_our_species_keep_their_promises(name: str, digits_problem: QuantizationProblem) -> None:
    check_species(name, digits_problem)
    check_species(name, ToyProblem(4, (2, 4, 8)))


def test_classes_and_ready_made_species_are_taken(toy: ToyProblem) -> None:
    check_species(ContinuousSpecies, toy)
    check_species(ContinuousSpecies(toy, SearchOptions()), toy)
    with pytest.raises(UnknownNameError, match="did you mean 'floor'"):
        check_species("flor", toy)


class Nameless(ContinuousSpecies):
    name = ""


class Short(ContinuousSpecies):
    def offspring(self, parents: Sequence[Any], count: int, rng: np.random.Generator) -> list[Any]:
        return super().offspring(parents, count, rng)[:4]


class Single(ContinuousSpecies):
    def initial(self, count: int, rng: np.random.Generator) -> Any:
        return np.array(super().initial(count, rng))


class Careless(ContinuousSpecies):
    def offspring(self, parents: Sequence[Any], count: int, rng: np.random.Generator) -> list[Any]:
        children = super().offspring(parents, count, rng)
        parents[0][0] = 2.0
        return children


class OwnDice(ContinuousSpecies):
    def initial(self, count: int, rng: np.random.Generator) -> list[Any]:
        return super().initial(count, np.random.default_rng())


class OwnDiceLater(ContinuousSpecies):
    def offspring(self, parents: Sequence[Any], count: int, rng: np.random.Generator) -> list[Any]:
        return super().offspring(parents, count, np.random.default_rng())


class Wide(ContinuousSpecies):
    def decode(self, genome: Any) -> Any:
        return super().decode(genome) + np.uint8(1)


class Wordy(ContinuousSpecies):
    def decode(self, genome: Any) -> Any:
        return super().decode(genome).astype(np.int64)


class Listing(ContinuousSpecies):
    def decode(self, genome: Any) -> Any:
        return super().decode(genome).tolist()


class Restless(ContinuousSpecies):
    turn = 0

    def decode(self, genome: Any) -> Any:
        self.turn += 1
        return np.full(6, 2 + self.turn % 2, dtype=np.uint8)


class Spoiling(ContinuousSpecies):
    def decode(self, genome: Any) -> Any:
        bits = super().decode(genome)
        genome[:] = bits
        return bits


class Deaf(ContinuousSpecies):
    def imitate(self, bits: Any, rng: np.random.Generator) -> list[Any]:
        return self.initial(len(bits), rng)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Nameless, "name is ''"),
        (Short, "offspring of 3 parents returned 4 genomes, asked for 5"),
        (Single, "initial returned a ndarray, asked for 1; return a list"),
        (Careless, "offspring changed its parents; copy a genome"),
        (OwnDice, "initial gave other genomes for the same random generator"),
        (OwnDiceLater, "offspring gave other genomes for the same random generator"),
        (Wide, r"decode returned the width 9; choose from \(2, 3"),
        (Wordy, r"decode returned int64\[6\]; return uint8\[6\]"),
        (Listing, "decode returned list"),
        (Restless, "decode reads other widths from the same genome"),
        (Spoiling, "decode changed its genome"),
        (Deaf, "imitations are .* bits a node from their sources"),
    ],
)
def test_a_broken_promise_is_named(toy: ToyProblem, broken: Any, message: str) -> None:
    with pytest.raises(ContractError, match=message) as caught:
        check_species(broken, toy)
    assert caught.value.hint


def test_missing_members_are_listed(toy: ToyProblem) -> None:
    with pytest.raises(ContractError, match="object lacks name, summary, initial"):
        check_species(object(), toy)
