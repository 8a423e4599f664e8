"""Objectives as records: told apart, read back from plain numbers, and left out where they cannot vary."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nemo_lab import NemoWarning, create_study
from nemo_lab.errors import ArgumentError
from nemo_lab.objective import MEASURED, NUMBER, PERCENT, Objective, Scale
from nemo_lab.problem import Problem
from nemo_lab.search.objective import constant, objectives_of, varied, varying
from nemo_lab.search.problem import bounds_of
from nemo_lab.study.results.history import past
from tests.toy import ToyProblem


class Described(ToyProblem):
    """The toy, whose objectives say more than their names."""

    def __init__(self, *objectives: Objective) -> None:
        super().__init__()
        self.objectives = objectives
        self.objective_names = tuple(one.name for one in objectives)  # type: ignore[assignment]
        self.cost_names = ()  # type: ignore[assignment]


class Constants(ToyProblem):
    """The toy with objectives in between that are the same for every configuration."""

    objective_names = ("volts", "loss", "size", "watts", "work")  # type: ignore[assignment]
    cost_names = ("size", "watts", "work", "volts")  # type: ignore[assignment]

    @property
    def objective_bounds(self) -> Any:
        ends = np.repeat([[self.bit_widths[0]], [self.bit_widths[-1]]], self.num_nodes, axis=1)
        return self._with(np.column_stack([[0.0, 1.0], ToyProblem.costs(self, ends)]))

    def costs(self, bits: Any) -> Any:
        size, work = super().costs(bits).T
        return np.column_stack([size, np.full(len(size), 7.5), work, np.zeros(len(size))])

    def evaluate(self, bits: Any) -> Any:
        return self._with(super().evaluate(bits))

    def _with(self, found: Any) -> Any:
        loss, size, work = found.T
        return np.column_stack([np.zeros(len(found)), loss, size, np.full(len(found), 7.5), work])


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_what_cannot_vary_changes_nothing_of_the_search(preset: str) -> None:
    options: dict[str, Any] = {"preset": preset, "population": 12, "min_size": 2, "seed": 3}
    plain = create_study(ToyProblem(), **options).optimize(160, progress=False)
    message = "the same for every configuration: volts, watts; search and figures leave out"
    with pytest.warns(NemoWarning, match=message) as told:
        study = create_study(Constants(), **options)
    assert len(told) == 1
    study.optimize(160, progress=False)
    one, other = plain.snapshot, study.snapshot
    assert np.array_equal(one.evaluations.bits, other.evaluations.bits)
    assert np.array_equal(one.evaluations.objectives, other.evaluations.objectives[:, [1, 2, 4]])
    assert one.front.tolist() == other.front.tolist()
    assert one.hypervolume == other.hypervolume > 0.5
    assert repr(one.history) == repr(other.history)
    assert plain.progress().equals(study.progress())
    assert past(one, 90, plain.problem).hypervolume == past(other, 90, study.problem).hypervolume
    assert (study.front()[["volts", "watts"]] == [0.0, 7.5]).all(axis=None), "tables keep it"
    assert set(study.evaluations()["species"]) >= set(plain.evaluations()["species"])


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_steers_hold_beside_what_cannot_vary(preset: str) -> None:
    options: dict[str, Any] = {"preset": preset, "population": 12, "min_size": 2}
    plain = create_study(ToyProblem(), **options)
    with pytest.warns(NemoWarning, match="the same for every"):
        study = create_study(Constants(), **options)
    for one in (plain, study):
        one.constrain("work <= 0.2")
        one.aspire(loss=0.5)
        one.optimize(60, progress=False)
        one.reseed("floor" if preset == "paper" else one.species[0].name, source="sensitivity")
        one.optimize(40, progress=False)
    assert study.constraints == {"work": 0.2}
    assert np.array_equal(
        plain.evaluations(bits=True)["layer0.input"], study.evaluations(bits=True)["layer0.input"]
    )
    assert study.snapshot.hypervolume == plain.snapshot.hypervolume


def test_it_is_known_which_vary() -> None:
    problem = Constants()
    assert varying(problem).tolist() == [1, 2, 4]
    assert [one.name for one in varied(problem)] == ["loss", "size", "work"]
    assert [one.name for one in constant(problem)] == ["volts", "watts"]
    assert varying(ToyProblem()).tolist() == [0, 1, 2]
    assert constant(ToyProblem()) == ()
    alone = ToyProblem(6, (4,))  # all costs are the same, the loss is not known to be
    assert varying(alone).tolist() == [0]


def test_where_nothing_can_vary_everything_stays() -> None:
    class Same(Problem):
        """Says nothing of a box itself."""

        num_nodes, node_names, bit_widths = 2, ("a", "b"), (2, 8)
        node_features, edges = np.zeros((2, 1), dtype=np.float32), np.array([[0], [1]])

        def __init__(self, *objectives: Objective) -> None:
            self.objectives = objectives
            self.objective_names = tuple(one.name for one in objectives)

        def evaluate(self, bits: Any) -> np.ndarray:
            return np.zeros((len(bits), len(self.objectives)))

    same = Same(Objective("a", low=1, high=1), Objective("b", low=2, high=2))
    assert bounds_of(same).tolist() == [[1, 2], [1, 2]], "what the objectives say counts"
    assert varying(same).tolist() == [0, 1]
    assert constant(same) == ()
    assert bounds_of(Same(Objective("a", low=1, high=3), Objective("b"))).tolist() == [[1, 0], [3, 1]]


def test_problems_without_descriptions_get_plain_ones() -> None:
    loss, size, work = objectives_of(ToyProblem())
    assert (loss.name, loss.label, loss.axis, loss.written, loss.exact) == ("loss",) * 4 + (False,)
    assert (size.exact, work.exact) == (True, True)
    assert [(one.low, one.high) for one in (loss, size, work)] == [
        tuple(ends) for ends in bounds_of(ToyProblem()).T.tolist()
    ]
    assert loss.text(0.25) == "0.2500"
    assert loss.superlative == "lowest loss"
    assert Objective("energy_per_image").axis == "energy per image"
    assert Objective("_").label == "_"


def test_descriptions_that_do_not_fit_are_refused() -> None:
    problem = Described(Objective("a"), Objective("b"))
    problem.objective_names = ("a", "c")  # type: ignore[assignment]
    with pytest.raises(
        ArgumentError, match="objectives are a, b, objective_names a, c; give one Objective for"
    ):
        objectives_of(problem)
    for foreign in (["a", "b"], np.zeros(2), 3):
        problem.objectives = foreign  # type: ignore[assignment]
        with pytest.raises(ArgumentError, match=r"give a tuple of nemo_lab\.objective\.Objective, or call"):
            objectives_of(problem)
    for factor, offset in ((0, 0), (float("nan"), 0), (1, float("inf"))):
        with pytest.raises(ArgumentError, match="give a finite number"):
            Scale("none", offset, factor)


@pytest.mark.parametrize("one", [*MEASURED.values(), Objective("<b>x</b>", units=(Scale("mb", factor=3.5),))])
def test_records_compare_pickle_and_go_through_json(one: Objective) -> None:
    assert pickle.loads(pickle.dumps(one)) == one
    assert Objective.read(json.loads(json.dumps(one.saved()))) == one
    assert replace(one, low=0.5) != one
    assert hash(one) == hash(replace(one))


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": 3}, {"display": None}, {"format": ".9999999f"}, {"units": 3}, {"low": "little"},
        {"label": None},
        {"display": {"name": "", "offset": 0, "factor": 0, "sign": "", "thousandth": ""}},
    ],
)  # fmt: skip
def test_what_was_not_saved_so_is_refused(wrong: dict[str, Any]) -> None:
    saved = MEASURED["top1"].saved()
    with pytest.raises((KeyError, TypeError, ValueError)):
        Objective.read({**saved, **wrong})
    with pytest.raises(KeyError):
        Objective.read({key: saved[key] for key in saved if key not in wrong})


def test_scales_there_and_back() -> None:
    values = np.linspace(0, 1, 11)
    for scale in (
        Scale(), Scale("accuracy", 1, -1), Scale("mb", factor=12.5), Scale("celsius", 32, 1.8),
        Scale("perplexity", exponential=True), Scale("likelihood", 0, -1, exponential=True),
    ):  # fmt: skip
        assert scale.stored(scale.of(values)) == pytest.approx(values)
        assert scale.larger_is_better == (scale.of(1.0) < scale.of(0.0))


def test_what_no_exponential_reaches_is_far_out_and_finite() -> None:
    perplexity = Scale("perplexity", exponential=True)
    assert perplexity.stored(1.0) == 0
    assert np.all(perplexity.stored(np.array([0.0, -3.0])) < -700)
    saved = {**MEASURED["top1"].saved()}
    del saved["display"]["exponential"]
    assert Objective.read(saved) == MEASURED["top1"], "a journal of a version that had none"


def test_numbers_and_differences_as_they_are_shown() -> None:
    accuracy, loss = MEASURED["top1"], Objective("loss")
    assert accuracy.text(0.0625) == "93.75%"
    assert accuracy.brief(0.9375) == "93.8%"
    assert accuracy.difference(0.10, 0.12) == "+2.00 points"
    assert loss.difference(0.25, 0.2) == "+0.0500 (+25.0%)"
    assert loss.difference(-2.0, -4.0) == "+2.0000 (+50.0%)"
    assert loss.difference(1.0, 0.0) == "+1.0000"
    assert Scale("mb", factor=2.0, sign="MB", thousandth="kB").text(0.25) == "500 kB"
    assert Scale("mb", factor=2.0, sign="MB", thousandth="kB").text(1.25) == "2.50 MB"
    assert (accuracy.format, loss.format) == (PERCENT, NUMBER)


def test_labels_and_written_names_are_told_apart() -> None:
    mine = Objective("accuracy")  # somebody's function, minimised
    found = objectives_of(Described(MEASURED["top1"], mine, Objective("size")))
    assert [one.label for one in found] == ["accuracy (task_error)", "accuracy", "size"]
    assert [one.written for one in found] == ["task_error", "accuracy", "size"]
    top1, top5, agreement = (MEASURED[name] for name in ("top1", "top5", "agreement"))
    found = objectives_of(Described(top1, replace(top5, name="top5_error"), replace(agreement, name="other")))
    assert [one.written for one in found] == ["accuracy", "top5_accuracy", "agreement"]
