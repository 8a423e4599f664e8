"""check_species passes our species and names the promise that is broken."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pytest

from nemo_lab import QuantizationProblem
from nemo_lab.errors import UnknownNameError
from nemo_lab.search import SearchOptions
from nemo_lab.search.archive import front_ids
from nemo_lab.search.species import NAMES
from nemo_lab.search.species.real import ContinuousSpecies
from nemo_lab.search.view import SearchView
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


class Watchful(ContinuousSpecies):
    """Breeds around the front it has seen."""

    seen: Any = None

    def observe(self, view: SearchView) -> None:
        self.seen = view.evaluations.bits[view.front].astype(float)

    def offspring(self, parents: Sequence[Any], count: int, rng: np.random.Generator) -> list[Any]:
        return super().offspring(parents if self.seen is None else list(self.seen), count, rng)


class Writing(Watchful):
    def observe(self, view: SearchView) -> None:
        view.evaluations.bits[:] = 2


class Unpinning(Watchful):
    def observe(self, view: SearchView) -> None:
        view.allowed[:] = True


class Squeezing(Watchful):
    def observe(self, view: SearchView) -> None:
        view.box[1] *= 0.5


class OwnDiceWatching(Watchful):
    def observe(self, view: SearchView) -> None:
        super().observe(view)
        self.seen = np.random.default_rng().uniform(2, 8, self.seen.shape)


class Common(Watchful):
    """Keeps what it saw where others of its kind find it."""

    turns: ClassVar[list[int]] = []

    def observe(self, view: SearchView) -> None:
        self.turns.append(len(self.turns))
        self.seen = np.full((1, 6), 2.0 + len(self.turns) % 7)


class Forgetful(Watchful):
    def offspring(self, parents: Sequence[Any], count: int, rng: np.random.Generator) -> list[Any]:
        return super().offspring(parents, count, rng)[: None if self.seen is None else 1]


class Indecisive(ContinuousSpecies):
    final: Any = "sometimes"


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Writing, "observe changed what it was given; work on a copy"),
        (Unpinning, "observe changed what it was given; work on a copy"),
        (Squeezing, "observe changed what it was given; work on a copy"),
        (OwnDiceWatching, "offspring differ after observe saw the same search"),
        (Common, "offspring differ after observe saw the same search"),
        (Forgetful, "offspring of 4 parents returned 1 genomes, asked for 4"),
        (Indecisive, "final is 'sometimes'; make it True or False"),
    ],
)
def test_a_broken_promise_of_a_watcher_is_named(toy: ToyProblem, broken: Any, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        check_species(broken, toy)


def test_watchers_see_a_search_as_the_engine_shows_it(toy: ToyProblem) -> None:
    seen: list[SearchView] = []

    class Witness(Watchful):
        def observe(self, view: SearchView) -> None:
            super().observe(view)
            seen.append(view)

    check_species(Witness, toy)
    check_species(Witness(toy, SearchOptions()), toy)
    for view in seen:
        log = view.evaluations
        assert np.array_equal(toy.evaluate(log.bits), log.objectives)
        assert all(view.known(row) for row in log.bits)
        assert not view.known(np.full(6, 9, dtype=np.uint8))
        assert not log.bits.flags.writeable
        pins = {q: toy.bit_widths[row.argmax()] for q, row in enumerate(view.allowed) if row.sum() == 1}
        assert view.front.tolist() == front_ids(log, pins).tolist()
    assert {int(view.allowed[0].sum()) for view in seen} == {1, 7}, "with and without a pin"


class Remembering(Watchful):
    """Breeds around all fronts it has seen, in turn."""

    def __init__(self, problem: Any, options: SearchOptions) -> None:
        super().__init__(problem, options)
        self.fronts: list[Any] = []

    def observe(self, view: SearchView) -> None:
        self.fronts.append(view.evaluations.bits[view.front].astype(float))
        self.seen = np.concatenate(self.fronts)

    def state_dict(self) -> Any:
        return {"fronts": tuple(self.fronts)}

    def load_state_dict(self, state: Any) -> None:
        self.fronts = list(state["fronts"])
        self.seen = np.concatenate(self.fronts)


class Unloading(Remembering):
    def load_state_dict(self, state: Any) -> None:
        self.fronts = []


class HalfSaved(Remembering):
    """Of all the fronts, it saves the latest."""

    def state_dict(self) -> Any:
        return {"fronts": self.fronts[-1:]}


class Sharing(Remembering):
    """Hands out what it goes on to change; on its way to a file it is copied."""

    def state_dict(self) -> Any:
        return {"fronts": self.fronts}


class Emptied(Remembering):
    def state_dict(self) -> Any:
        fronts, self.fronts = self.fronts, [np.full((1, 6), 2.0)]
        self.seen = self.fronts[0]
        return {"fronts": fronts}


class Unwritable(Remembering):
    def state_dict(self) -> Any:
        return {"fronts": {1, 2}}


class Numbered(Remembering):
    def state_dict(self) -> Any:
        return {1: self.fronts}


class CommonDice(Remembering):
    def observe(self, view: SearchView) -> None:
        super().observe(view)
        np.random.seed(3)  # noqa: NPY002


class PlainDice(Remembering):
    def observe(self, view: SearchView) -> None:
        super().observe(view)
        random.random()


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Unloading, "saved and loaded has other offspring than one that was not; let state_dict return all"),
        (HalfSaved, "saved and loaded has other offspring than one that was not"),
        (Emptied, "state_dict changed what comes next"),
        (Unwritable, r"state_dict returned {'fronts': {1, 2}}; return numbers, texts, arrays"),
        (Numbered, r"state_dict returned {1: \[\]}; return numbers"),
        (CommonDice, "observe drew random numbers; draw them in offspring"),
        (PlainDice, "observe drew random numbers; draw them in offspring"),
    ],
)
def test_a_broken_promise_about_memory_is_named(toy: ToyProblem, broken: Any, message: str) -> None:
    check_species(Remembering, toy)
    check_species(Sharing, toy)
    with pytest.raises(ContractError, match=message):
        check_species(broken, toy)
