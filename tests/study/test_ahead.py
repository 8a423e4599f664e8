"""Candidates in flight across generations: one table, whatever the workers, the stops and the kills."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nemo_lab as nl
from nemo_lab.errors import StorageError
from nemo_lab.search import Engine, SearchOptions
from nemo_lab.search.species import make_species
from nemo_lab.study.journal import Journal
from tests.toy import ToyProblem
from tests.waiting import PATIENCE, until

QUICK: dict[str, Any] = {
    "species": ("continuous", "floor", "integer", "surrogate"), "population": 12, "min_size": 2, "seed": 3,
    "initial": 12, "offspring": 8,
}  # fmt: skip
AHEAD = [0, 3, 8, 30]


class Uneven(ToyProblem):
    """Evaluations that end in another order than they began in, and can be stopped."""

    def evaluate(self, bits: Any) -> Any:
        time.sleep(random.random() * 0.003)
        nl.check_interrupted()
        return super().evaluate(bits)


def table(study: nl.Study) -> list[Any]:
    log, history = study.snapshot.evaluations, study.snapshot.history
    columns = [log.bits, log.objectives, log.species, log.origin, log.generation]
    return [[column.tolist() for column in columns], list(map(repr, history))]


def steered(study: nl.Study, go: Any) -> nl.Study:
    """The same decisions at the same places, between which ``go`` runs it."""
    go(study, 50)
    study.pin("layer0.weight", 4)
    go(study, 85)
    study.unpin()
    study.reseed("floor", "front", 0.5)
    go(study, 120)
    return study


def straight(study: nl.Study, count: int) -> None:
    study.optimize(until=count, progress=False)


def stopped(study: nl.Study, count: int) -> None:
    """Stopped again and again, with whatever is in flight then."""
    study.start(until=count)
    while study.state != "finished":
        time.sleep(random.random() * 0.03)
        study.stop()
        study.wait(PATIENCE)
        if study.state == "idle":
            study.start(until=count)


@pytest.mark.filterwarnings("ignore::nemo_lab.NemoWarning")
@pytest.mark.parametrize("dedupe", [True, False])
@pytest.mark.parametrize("ahead", AHEAD)
def test_one_table_whatever_the_workers_and_the_stops(ahead: int, dedupe: bool) -> None:
    options = {**QUICK, "ahead": ahead, "dedupe": dedupe}
    alone = table(steered(nl.create_study(ToyProblem(), **options), straight))
    for workers in (3, 16):
        assert table(steered(nl.create_study(Uneven(), workers=workers, **options), straight)) == alone
    assert table(steered(nl.create_study(Uneven(), workers=5, **options), stopped)) == alone


@pytest.mark.parametrize("preset", ["default", "teaching", "paper"])
def test_a_preset_goes_ahead_of_all_that_it_has_made(preset: str) -> None:
    """No species has a member with an answer when the second generation is bred, nor when the third is."""
    options = {"preset": preset, "population": 12, "ahead": 60, "seed": 1}
    alone = nl.create_study(ToyProblem(), **options).optimize(150, progress=False)
    assert table(nl.create_study(Uneven(), workers=9, **options).optimize(150, progress=False)) == table(
        alone
    )
    assert len(alone.front()) > 10


@pytest.mark.filterwarnings("ignore::nemo_lab.NemoWarning")
@pytest.mark.parametrize("ahead", AHEAD)
def test_its_journal_alone_and_its_script_make_it_again(ahead: int, tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    study = nl.create_study(Uneven(), workers=6, ahead=ahead, dedupe=True, storage=path, **QUICK)
    for count in range(20, 121, 20):
        study.start(until=count)
        time.sleep(random.random() * 0.04)
        if count % 40:
            study.stop()
        study.pin("layer1.weight", 4) if count % 3 else study.unpin()
        assert study.wait(PATIENCE)
    made, script = table(study), study.to_script()
    study.close()
    loaded = nl.load_study(path, problem=Uneven(), read_only=True)
    assert table(loaded) == made
    loaded.close()
    again: dict[str, Any] = {"print": lambda *_: None}
    exec(
        script.replace("problem = ...  # fill in", "from tests.toy import ToyProblem as T; problem = T()"),
        again,
    )
    assert table(again["study"]) == made


@pytest.mark.parametrize("ahead", [0, 8])
def test_a_kill_with_six_in_flight_loses_nothing(ahead: int, tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    options = {**QUICK, "ahead": ahead, "dedupe": True}
    code = f"""
        import nemo_lab as nl
        from tests.study.test_ahead import Uneven
        study = nl.create_study(Uneven(), workers=6, storage={str(path)!r}, **{options!r})
        study.start(100_000)
        print("on", flush=True)
        study.wait()
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    watched = nl.load_study(path, problem=Uneven(), read_only=True)
    until(lambda: len(watched.snapshot.evaluations) > 60)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    watched.close()
    study = nl.load_study(path, problem=Uneven())
    made = len(study.snapshot.evaluations)
    study.optimize(until=made + 30, progress=False)
    assert table(study) == table(nl.create_study(ToyProblem(), **options).optimize(made + 30, progress=False))
    study.close()


class Gated(ToyProblem):
    """Evaluations that end when they are let go."""

    def __init__(self) -> None:
        super().__init__()
        self.inside: list[threading.Event] = []  # the first that came in first

    def evaluate(self, bits: Any) -> Any:
        gate = threading.Event()
        self.inside.append(gate)
        while not gate.wait(0.001):
            nl.check_interrupted()
        return super().evaluate(bits)

    def let_go(self, place: int) -> None:
        self.inside.pop(place).set()


def test_all_workers_are_at_work_across_generations() -> None:
    problem, workers = Gated(), 6
    study = nl.create_study(problem, workers=workers, ahead=12, **QUICK)
    study.start(400)
    while len(study.snapshot.evaluations) < 19:  # the first generation waits for all of it
        until(lambda: problem.inside)
        problem.let_go(0)
    for turn in range(60):
        until(lambda: len(problem.inside) == workers)
        problem.let_go(0 if turn % 3 else -1)  # one that came late ends early now and then
    study.stop()
    study.wait(PATIENCE)
    assert study.snapshot.generation > 5


def test_a_generation_waits_for_its_last_where_nothing_goes_ahead() -> None:
    problem = Gated()
    study = nl.create_study(problem, workers=6, **QUICK)
    study.start(400)
    for left in range(18, 0, -1):
        until(lambda left=left: len(problem.inside) == min(left + 1, 6))
        problem.let_go(-1)
    until(lambda: len(problem.inside) == 1)
    time.sleep(0.2)
    assert (len(problem.inside), len(study.snapshot.evaluations)) == (1, 0)
    problem.let_go(0)
    until(lambda: len(problem.inside) == 6)
    assert len(study.snapshot.evaluations) == 19
    study.stop()
    study.wait(PATIENCE)


def test_a_decision_acts_on_what_begins_after_it_and_what_is_in_flight_is_told_before() -> None:
    began, seconds = list[float](), 0.2

    class Slow(ToyProblem):
        def evaluate(self, bits: Any) -> Any:
            began.append(time.monotonic())
            time.sleep(seconds)
            return super().evaluate(bits)

    study = nl.create_study(Slow(), workers=16, ahead=16, dedupe=True, **QUICK)
    study.start(400)
    until(lambda: len(study.snapshot.evaluations) > 20)
    study.pin("layer0.weight", 5)
    asked = time.monotonic()
    until(lambda: study.snapshot.pins and study.snapshot.evaluations.bits[-1, 1] == 5)
    assert time.monotonic() - asked < 20 * seconds, "two evaluations, with room for a slow machine"
    study.stop()
    study.wait(PATIENCE)
    (made,) = (one.evaluation for one in study.snapshot.record if one.action == "pin")
    assert (study.snapshot.evaluations.bits[made:, 1] == 5).all()
    before = sum(at < asked for at in began)
    assert before <= made <= before + 1, "nothing was dropped; one may have been on its way to its thread"


@pytest.mark.parametrize("ahead", AHEAD)
def test_an_ask_in_vain_leaves_all_as_it_was(ahead: int) -> None:
    """By the engine itself: who asks as often as possible, and tells one now and then, gets the same."""

    def searched(eager: bool) -> bytes:
        problem = ToyProblem(num_nodes=4, bit_widths=(2, 4, 8))
        options = SearchOptions.make(
            population=12, min_size=2, initial=12, offspring=8, dedupe=True, ahead=ahead
        )
        engine = Engine(problem, make_species(("continuous", "integer"), problem, options), options, 5)
        out, rng = list[Any](), np.random.default_rng(0)
        while len(engine.evaluations) < 60:
            for _ in range(int(rng.integers(1, 9)) if eager else 1):
                candidate = engine.ask()
                out += [] if candidate is None else [candidate]
            one = out.pop(0)
            engine.tell(one, problem.evaluate(one.bits[None])[0])
        return engine.evaluations.bits.tobytes()

    assert searched(eager=True) == searched(eager=False)


def test_a_failure_with_others_in_flight_leaves_a_study_that_can_be_steered(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    study = nl.create_study(Uneven(), workers=5, ahead=8, dedupe=True, storage=tmp_path / "a.sqlite", **QUICK)
    study.optimize(30, progress=False)
    write = Journal.write

    def full(*args: Any, **kwargs: Any) -> None:
        raise StorageError("no space left", "free some")

    monkeypatch.setattr(Journal, "write", full)
    with pytest.raises(StorageError):
        study.optimize(30, progress=False)
    monkeypatch.setattr(Journal, "write", write)
    study.set_budget(90)  # does not wait for what was in flight
    study.optimize(until=90, progress=False)
    alone = nl.create_study(ToyProblem(), ahead=8, dedupe=True, **QUICK).optimize(90, progress=False)
    assert table(study) == table(alone)
    study.close()


@pytest.mark.filterwarnings("ignore::nemo_lab.NemoWarning")
@pytest.mark.parametrize("seed", range(4))
def test_a_space_that_is_exhausted_with_others_in_flight(seed: int) -> None:
    def searched(workers: int) -> list[Any]:
        problem = ToyProblem(num_nodes=4, bit_widths=(2, 4, 8))
        options = {**QUICK, "seed": seed, "ahead": 20, "dedupe": True, "workers": workers}
        study = nl.create_study(problem, **options)
        study.pin({problem.node_names[0]: 4, problem.node_names[1]: 8})
        study.optimize(100, progress=False)
        study.unpin()
        return table(study.optimize(10, progress=False))

    assert searched(1) == searched(4)


def test_what_others_had_measured_when_a_run_was_left_is_not_measured_again() -> None:
    problem = Gated()
    study = nl.create_study(problem, workers=4, **QUICK)
    study.start(400)
    for _ in range(2):  # that were begun after the first end before it
        until(lambda: len(problem.inside) == 4)
        problem.let_go(-1)
    until(lambda: len(problem.inside) == 4)
    study.stop()
    assert study.wait(PATIENCE)
    assert (len(study.snapshot.evaluations), study.snapshot.reused) == (0, 0)
    problem.inside.clear()
    study.start(400)
    while len(study.snapshot.evaluations) < 8:
        if problem.inside:
            problem.let_go(0)
        time.sleep(0.002)
    assert study.snapshot.reused == 2
    study.stop()
    study.wait(PATIENCE)
