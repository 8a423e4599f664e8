"""What problems of one's own answer is finite and of the right shape before anything is computed with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nemo_lab
from nemo_lab import NemoError, create_study
from nemo_lab.errors import ArgumentError, ContractError, EvaluationError
from nemo_lab.numeric import real_numbers
from nemo_lab.search import adapt_problem
from nemo_lab.search.indicators import hypervolume, non_dominated
from nemo_lab.search.ranking import Nsga3Ranking
from nemo_lab.search.species.integer import IntegerSpecies
from nemo_lab.search.surrogate.acquisition import pick_by_gain
from nemo_lab.study.parsing.objectives import ObjectiveNames
from tests.toy import ToyProblem

NAN = np.full((3, 2), np.nan)
ONES = np.ones((3, 2))
BOX = np.array([[0.0, 0.0], [1.0, 1.0]])


@pytest.mark.parametrize(
    "call",
    [
        lambda: hypervolume(NAN, BOX),
        lambda: hypervolume(ONES, NAN[:2]),
        lambda: hypervolume(ONES, BOX * [[1, np.inf], [1, np.inf]]),
        lambda: hypervolume(np.ones((3, 3)), BOX),
        lambda: hypervolume(np.ones(3), BOX),
        lambda: hypervolume(ONES + 1j, BOX),
        lambda: non_dominated(NAN),
        lambda: non_dominated(ONES * np.inf),
        lambda: Nsga3Ranking(2, 8).order(NAN, np.random.default_rng(0)),
        lambda: Nsga3Ranking(3, 8).order(ONES, np.random.default_rng(0)),
        lambda: pick_by_gain(ONES * 0.5, ONES * 0.1, 1, np.array([1.0, np.inf])),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_compiled_code_is_given_nothing_that_is_not_finite(call: Callable[[], Any]) -> None:
    with pytest.raises(ArgumentError, match=r"finite|shape|complex"):
        call()


def test_points_far_outside_of_a_narrow_box_add_nothing() -> None:
    box = np.array([[0.0, 0.0], [5e-324, 1.0]])
    assert hypervolume(np.array([[1e100, 0.5]]), box) == 0.0


def test_one_file_alone_calls_moocore() -> None:
    package = Path(nemo_lab.__file__).parent
    using = [path.name for path in package.rglob("*.py") if "import moocore" in path.read_text("utf-8")]
    assert using == ["native.py"]


WRONG: dict[str, Callable[[Any], Any]] = {
    "complex": lambda found: found + 1j,
    "masked": lambda found: np.ma.masked_array(found, mask=found >= found.max()),
    "text": lambda found: found.astype(str),
    "dates": lambda found: np.zeros(found.shape, dtype="M8[s]"),
    "None": lambda found: None,
    "a generator": lambda found: (row for row in found),
    "objects": lambda found: np.full(found.shape, object()),
    "huge integers": lambda found: np.full(found.shape, 10**400, dtype=object),
    "integers beyond 2**53": lambda found: np.full(found.shape, 2**53 + 1),
    "NaN": lambda found: found * np.nan,
    "too large to compute with": lambda found: np.full(found.shape, 1e200),
    "fewer columns": lambda found: found[..., :1],
    "more rows": lambda found: np.concatenate([found, found]),
    "a tensor with a gradient": lambda found: torch.tensor(found, requires_grad=True),
}


@pytest.mark.parametrize("hook", ["evaluate", "costs", "neighbour_costs"])
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_answer_is_named(hook: str, wrong: str) -> None:
    problem = ToyProblem()
    right = (
        (lambda bits: np.full((2, 6, 7), 0.5)) if hook == "neighbour_costs" else getattr(ToyProblem(), hook)
    )
    study = create_study(problem, species=("continuous", "floor"), population=8, min_size=2, lift=True)
    setattr(problem, hook, lambda bits: WRONG[wrong](right(bits)))
    with pytest.raises(EvaluationError, match=f"{hook} returned"):
        study.optimize(30, progress=False)


@pytest.mark.parametrize(
    "answer",
    [
        lambda found: found.tolist(),
        lambda found: found.astype(object),
        lambda found: torch.tensor(found),
        lambda found: np.ma.masked_array(found),
    ],
)
def test_numbers_of_every_library_are_numbers(answer: Callable[[Any], Any]) -> None:
    expected = ToyProblem().evaluate([[4] * 6, [2] * 6])
    assert real_numbers(answer(expected)).tolist() == expected.tolist()


class Turning:
    """A problem whose properties give one answer, and ever after another."""

    num_nodes, objective_names, evaluate = 6, ("loss", "size", "work"), ToyProblem().evaluate

    def __init__(self) -> None:
        self._answers: dict[str, Iterator[Any]] = {}

    def _next(self, name: str, later: Any) -> Any:
        first = getattr(ToyProblem(), name)
        return next(self._answers.setdefault(name, iter([first, *[later] * 10**4])))

    node_names = property(lambda self: self._next("node_names", ("a",)))
    bit_widths = property(lambda self: self._next("bit_widths", "none"))
    node_features = property(lambda self: self._next("node_features", np.full((6, 4), np.nan)))
    edges = property(lambda self: self._next("edges", np.full((2, 3), 99)))
    objective_bounds = property(lambda self: self._next("objective_bounds", np.full((2, 3), np.nan)))


def test_what_a_problem_says_of_itself_is_read_once() -> None:
    study = create_study(Turning(), population=8, min_size=2).optimize(20, progress=False)
    assert study.evaluations(bits=True).shape == (20, 3 + 3 + 6)
    assert np.isfinite(study.progress().to_numpy()).all()


def test_one_that_inherits_and_changes_is_refused() -> None:
    class Changing(ToyProblem):
        @property
        def objective_bounds(self) -> Any:
            self.calls += 1
            return super().objective_bounds * (1 + self.calls)

    with pytest.raises(ContractError, match="objective_bounds changes from one reading to the next"):
        adapt_problem(Changing())


@pytest.mark.parametrize("state", [object(), {1: 2}, np.array([object()]), {"a": [set()]}])
def test_a_species_whose_state_no_file_can_hold_is_refused_at_the_door(state: Any) -> None:
    class Own(IntegerSpecies):
        name = "own"

        def state_dict(self) -> Any:
            return state

    with pytest.raises(ContractError, match=r"state_dict returned .*; return numbers"):
        create_study(ToyProblem(), species=("floor", Own))
    with pytest.raises(ContractError, match="state_dict returned"):
        create_study(ToyProblem()).add_species(Own)


def named(*names: str) -> ObjectiveNames:
    problem = ToyProblem()
    problem.objective_names, problem.cost_names = names, names[1:]
    return ObjectiveNames(problem)


@pytest.mark.parametrize("name", ["a b", "a\nb", " a", "a<=b", "<", "3", "\u202ea", "'a'", "x" * 300])
def test_every_objective_can_be_written_in_a_constraint(name: str) -> None:
    objectives = named(name, "size", "work")
    for written in (f"{name} <= 0.5", f"{name}<0.5", f"'{name}' <= 0.5 ", f"\n {name}  <=  0.5"):
        assert objectives.limits([written]) == {0: 0.5}
    assert objectives.limits([objectives.example])


@pytest.mark.parametrize(
    "text",
    [
        "loss" + " " * 10**6 + "<=" + " " * 10**6,
        " " * 10**6,
        "<" * 10**6,
        "loss <= " + "1" * 10**6 + "x",
        "loss <= " + "1" * 10**6,
        "a <= " * 10**5,
        "<= 3",
    ],
    ids=lambda text: re.sub(r"(.)\1+", r"\1", text)[:10],
)
def test_a_long_constraint_is_read_in_one_pass(text: str) -> None:
    objectives = named("loss", "size", "work")
    with pytest.raises(NemoError) as refused:  # a pattern that goes back takes hours for these
        objectives.limits([text])
    assert len(str(refused.value)) < 2000
