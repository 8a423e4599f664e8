"""Pins, re-seeding, what-if and enqueue through the study, running or not; and their errors."""

from __future__ import annotations

import threading
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nemo_lab import NemoWarning, create_study
from nemo_lab.errors import ArgumentError, BitWidthError, EvaluationError, UnknownNameError
from tests.study.test_running import make_study
from tests.toy import GatedProblem, OddProblem, SlowProblem, ToyProblem
from tests.waiting import PATIENCE, until

NAMES = ToyProblem().node_names


def test_a_pin_in_the_middle_of_a_run_holds_from_its_number_on() -> None:
    problem = GatedProblem(free=30)
    study = make_study(problem)
    study.start(400)
    assert problem.entered.wait(PATIENCE)
    study.pin("layer1", weight=8, activation=3)
    problem.gate.set()
    study.wait(PATIENCE)
    taken = study.interventions().iloc[0]
    assert taken["action"] == "pin"
    assert "layer1.weight = 8" in taken["detail"]
    table = study.evaluations(bits=True)
    later = table.loc[taken["evaluation"] :]
    assert len(later) > 50
    assert (later["layer1.weight"] == 8).all()
    assert (later["layer1.input"] == 3).all()
    assert not (table.loc[: taken["evaluation"] - 1, "layer1.weight"] == 8).all()
    bits = table.loc[study.front().index]
    assert (bits["layer1.weight"] == 8).all()


def test_a_pin_on_a_finished_study_warns_and_is_evaluated_by_the_next_start() -> None:
    study = make_study().optimize(40, progress=False)
    with pytest.warns(NemoWarning, match=r"the study is finished: \d+ projected.*call start\("):
        study.pin("layer0.weight", 8)
    waiting = study.snapshot.waiting
    assert waiting > 0
    assert study.pins == {"layer0.weight": 8}
    study.optimize(waiting, progress=False)
    new = study.evaluations(bits=True).loc[40:]
    assert len(new) == waiting
    assert (new["origin"] == "projected").all()
    assert (new["layer0.weight"] == 8).all()
    assert study.snapshot.waiting == 0
    assert len(study.front()) > 0


def test_unpinning_brings_the_front_back() -> None:
    study = make_study().optimize(40, progress=False)
    before = study.front()
    with pytest.warns(NemoWarning):
        study.pin("layer0", weight=8, activation=8)
    study.unpin("layer0.input")
    assert study.pins == {"layer0.weight": 8}
    study.unpin("layer0")
    assert study.pins == {}
    pd.testing.assert_frame_equal(study.front(), before)
    assert study.interventions()["action"].tolist() == ["pin", "unpin", "unpin"]
    with pytest.raises(ArgumentError, match="'layer1' is not pinned; pinned are: none"):
        study.unpin("layer1")


def test_pins_before_the_start_are_silent_and_hold() -> None:
    study = make_study()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        study.pin("layer2.weight", 2)
    study.optimize(30, progress=False)
    assert (study.evaluations(bits=True)["layer2.weight"] == 2).all()


def test_pinning_by_names_of_a_workload() -> None:
    study = create_study("digits", species=("continuous",), population=4)
    study.pin("blocks.0.project.conv", weight=8, activation=4)
    alias = next(n.aliases[0] for n in study.problem.workload.nodes if n.aliases)  # type: ignore[attr-defined]
    study.pin(alias, 6)
    node = study.problem.workload.find(alias).name  # type: ignore[attr-defined]
    assert study.pins == {"blocks.0.project.conv.weight": 8, "blocks.0.project.conv.input": 4, node: 6}
    study.unpin()
    assert study.pins == {}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda s: s.pin("layer9.wieght", 4), UnknownNameError, r"no node.*did you mean 'layer\d\.weight'"),
        (lambda s: s.pin("layr1", weight=4), UnknownNameError, "no layer 'layr1'; did you mean 'layer"),
        (lambda s: s.unpin("layr1.weight"), UnknownNameError, r"did you mean 'layer1\.weight'"),
        (lambda s: s.pin("layer1.weight", 9), BitWidthError, "bit-width 9 is not allowed; choose from 2"),
        (lambda s: s.pin("layer1", weight=1), BitWidthError, "bit-width 1 is not allowed"),
        (lambda s: s.pin("layer1.weight", True), BitWidthError, "not allowed"),
        (lambda s: s.pin("layer1.weight", 4.5), BitWidthError, "not allowed"),
        (lambda s: s.pin("layer1"), ArgumentError, "got no bit-width; add bits=, weight= or activation="),
        (lambda s: s.pin("layer1", 4, weight=4), ArgumentError, "together with weight="),
        (lambda s: s.reseed("flor"), UnknownNameError, "did you mean 'floor'"),
        (lambda s: s.reseed("floor", "frnt"), UnknownNameError, "no source 'frnt'; did you mean 'front'"),
        (lambda s: s.reseed("floor", fraction=0), ArgumentError, "above 0 and up to 1"),
        (lambda s: s.reseed("floor", fraction=1.1), ArgumentError, "above 0 and up to 1"),
        (lambda s: s.reseed("floor", fraction=float("nan")), ArgumentError, "above 0 and up to 1"),
        (lambda s: s.enqueue([9] * 6), BitWidthError, "bit-width 9"),
        (lambda s: s.enqueue([8] * 5), BitWidthError, "each of the 6 nodes"),
        (lambda s: s.enqueue({"layer0.weight": 8}), BitWidthError, "'layer0.input' has none"),
        (
            lambda s: s.what_if({**dict.fromkeys(NAMES, 4), "lyer0.input": 3}),
            UnknownNameError,
            "layer0.input",
        ),
        (lambda s: s.what_if(9), BitWidthError, "bit-width 9"),
        (lambda s: s.what_if([[4] * 6, [5] * 6]), ArgumentError, "got 2 configurations; give one"),
        (lambda s: s.enqueue(None), BitWidthError, "bits=None; give one width for each of the 6 nodes"),
        (lambda s: s.config(0), UnknownNameError, "no config 0; there are none"),
        (lambda s: s.validate(ids=np.int64(3)), UnknownNameError, "no config 3; there are none"),
        (lambda s: s.validate(ids=["3"]), UnknownNameError, "no config '3'"),
        (
            lambda s: s.validate(ids=s.front()),
            ArgumentError,
            "a DataFrame is not a list of config ids; give its index",
        ),
        (lambda s: s.reseed("floor", []), ArgumentError, "the name of a source, or config ids in a list"),
        (lambda s: s.reseed("floor", [-1]), UnknownNameError, "no config -1; there are none"),
        (lambda s: create_study("digit"), UnknownNameError, "did you mean 'digits'"),
        (lambda s: create_study(s.problem, species=("continous",)), UnknownNameError, "'continuous'"),
        (lambda s: create_study(s.problem, populaton=4), UnknownNameError, "did you mean 'population'"),
        (lambda s: create_study(s.problem, seed=-1), ArgumentError, "seed=-1"),
        (lambda s: create_study(42), ArgumentError, "an object of type int cannot be searched"),
    ],
)
def test_bad_input_is_answered_and_changes_nothing(call: Any, error: Any, message: str) -> None:
    study = make_study()
    with pytest.raises(error, match=message):
        call(study)
    assert len(study.interventions()) == 0
    assert study.pins == {}
    assert study.optimize(5, progress=False).state == "finished"


def test_config_is_found_by_the_numbers_of_the_front() -> None:
    study = make_study().optimize(20, progress=False)
    for config in (7, study.front().index[0], np.int64(7)):
        bits = study.config(config)
        assert bits.index.tolist() == list(NAMES)
        assert bits.to_dict() == study.evaluations(bits=True).loc[config, list(NAMES)].to_dict()
    with pytest.raises(UnknownNameError, match="0 to 19"):
        study.config(20)
    with pytest.raises(UnknownNameError):
        study.config(-1)


def test_what_if_takes_many_forms_and_leaves_no_trace() -> None:
    study = make_study().optimize(20, progress=False)
    series = study.config(3)
    expected = study.evaluations().loc[3, list(study.problem.objective_names)].tolist()
    for form in (series, series.to_dict(), series.to_numpy(), series.tolist(), series.iloc[::-1]):
        answer = study.what_if(form)
        assert answer.tolist() == expected
        assert answer.index.tolist() == ["loss", "size", "work"]
    assert study.what_if(8).tolist() == study.what_if([8] * 6).tolist()
    assert len(study.evaluations()) == 20
    assert len(study.interventions()) == 0
    edited = series.copy()
    edited["layer0.weight"] = 8
    assert study.what_if(edited)["size"] >= expected[1]


@pytest.mark.parametrize("pause", [False, True])
def test_what_if_while_a_run_is_on(pause: bool) -> None:
    study = make_study(SlowProblem())
    study.start(100_000)
    if pause:
        study.pause()
        study.wait(PATIENCE)
    assert study.what_if(4).tolist() == ToyProblem().evaluate([[4] * 6])[0].tolist()
    assert study.state == ("paused" if pause else "running")
    study.stop()
    study.wait(PATIENCE)


def test_a_what_if_that_fails_tells_its_caller_only() -> None:
    class Picky(SlowProblem):
        def evaluate(self, bits: Any) -> np.ndarray:
            if np.all(np.asarray(bits) == 8):
                raise ZeroDivisionError("no eights")
            return super().evaluate(bits)

    study = make_study(Picky())
    study.start(100)
    with pytest.raises(
        EvaluationError, match="the evaluation failed: ZeroDivisionError: no eights"
    ) as caught:
        study.what_if(8)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert study.wait(PATIENCE)
    assert study.state == "finished"
    assert len(study.evaluations()) == 100


def test_steers_while_paused_take_effect_at_once() -> None:
    problem = GatedProblem(free=20)
    study = make_study(problem)
    study.start(200)
    assert problem.entered.wait(PATIENCE)
    study.pause()
    problem.gate.set()
    study.wait(PATIENCE)
    done = len(study.evaluations())
    study.pin("layer0.weight", 5)
    assert study.pins == {"layer0.weight": 5}
    until(lambda: len(study.interventions()) == 1)
    assert study.state == "paused"
    assert study.interventions()["evaluation"].tolist() == [done]
    assert len(study.evaluations()) == done
    study.resume()
    study.wait(PATIENCE)
    assert (study.evaluations(bits=True).loc[done:, "layer0.weight"] == 5).all()


def test_enqueued_configurations_are_evaluated_next() -> None:
    study = make_study().optimize(10, progress=False)
    study.enqueue([[8] * 6, [2] * 6])
    study.enqueue(4)
    table = study.optimize(3, progress=False).evaluations(bits=True).loc[10:]
    assert sorted(table["layer0.weight"]) == [2, 4, 8]
    assert set(table["species"]) == {"no species"}
    assert set(table["origin"]) == {"enqueued"}


def test_reseeding_is_listed_and_evaluated_next() -> None:
    study = make_study().optimize(30, progress=False)
    study.reseed("floor", "front", fraction=0.5)
    entry = study.interventions().iloc[0]
    assert (entry["evaluation"], entry["action"]) == (30, "reseed")
    assert entry["detail"].startswith("floor from front, ")
    count = int(entry["detail"].split(", ")[1].split()[0])
    new = study.optimize(count, progress=False).evaluations().loc[30:]
    assert set(new["origin"]) == {"reseed"}
    assert set(new["species"]) == {"floor"}
    study.reseed("continuous")
    assert study.optimize(20, progress=False).state == "finished"


def test_a_gated_pin_waits_for_the_evaluation_in_flight() -> None:
    problem = GatedProblem()
    study = make_study(problem)
    study.start(3)
    assert problem.entered.wait(PATIENCE)
    study.pin("layer0.weight", 2)  # returns though an evaluation is in flight
    assert study.pins == {"layer0.weight": 2}, "what was asked for"
    assert study.snapshot.pins == {}, "what is in force"
    problem.gate.set()
    study.wait(PATIENCE)
    assert study.interventions()["evaluation"].tolist() == [1]
    assert (study.evaluations(bits=True).loc[1:, "layer0.weight"] == 2).all()


@pytest.mark.parametrize(
    "answer", [[[np.nan, 0.1, 0.1]], [0.1, 0.1, 0.1], [[0.1, 0.1]], "none", [[np.inf, 0, 0]]]
)
def test_what_if_refuses_impossible_objectives(answer: Any) -> None:
    problem = OddProblem()
    problem.answer = answer
    with pytest.raises(RuntimeError, match="evaluate returned"):
        make_study(problem).what_if(4)


def test_a_start_while_somebody_asks_beside_an_idle_study_is_not_lost() -> None:
    for pause in np.linspace(0, 0.006, 8):
        study = create_study(SlowProblem(), species=("floor",), population=8, min_size=1)
        study.optimize(8, progress=False)
        asking = threading.Thread(target=lambda s=study: [s.what_if(width) for width in (8, 6, 4)])
        asking.start()
        time.sleep(pause)
        study.start(20)
        assert study.wait(PATIENCE)
        asking.join()
        assert len(study.evaluations()) == 28


def test_a_study_that_goes_on_while_a_steer_takes_effect_says_so() -> None:
    study = create_study(SlowProblem(), species=("floor",), population=8, min_size=1)
    study.listen(lambda: time.sleep(0.005))  # whoever publishes takes a while
    study.start(100_000)
    for turn in range(30):
        study.pause()
        assert study.wait(PATIENCE)
        study.pin("layer0.weight", 4 + turn % 2)
        time.sleep(0.001)  # it is being published now
        study.resume()
        evaluated = len(study.snapshot.evaluations)
        until(lambda count=evaluated: len(study.snapshot.evaluations) > count)
        assert study.snapshot.state == "running"
    study.stop()
