"""One reducer: whatever is asked for, the record followed without an engine gives what the engine has."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from nemo_lab import NemoError, create_study, load_study
from nemo_lab.search import Ledger
from nemo_lab.search.species.real import ContinuousSpecies
from nemo_lab.study import Snapshot, Study, past
from nemo_lab.study.commands.base import Command
from nemo_lab.study.commands.registry import COMMANDS, followed
from tests.toy import GatedProblem, ToyProblem
from tests.waiting import PATIENCE

SPECIES = ("continuous", "floor", "integer")
NAMES = st.sampled_from(SPECIES)
NODES = st.sampled_from(ToyProblem().node_names)
ASKED: st.SearchStrategy[Callable[[Study], object]] = st.one_of(
    st.builds(lambda n, b: lambda s: s.pin(n, b), NODES, st.integers(2, 8)),
    st.builds(lambda n: lambda s: s.unpin(n), NODES),
    st.just(lambda s: s.unpin()),
    st.just(lambda s: s.undo()),
    st.just(lambda s: s.redo()),
    st.builds(lambda n: lambda s: s.remove_species(n), NAMES),
    st.builds(lambda n: lambda s: s.add_species(n), st.sampled_from((*SPECIES, "gcn"))),
    st.builds(lambda n, f: lambda s: s.freeze(n, frozen=f), NAMES, st.booleans()),
    st.builds(lambda n, p: lambda s: s.share(n, p), NAMES, st.one_of(st.none(), st.floats(0.1, 0.9))),
    st.builds(lambda n: lambda s: s.reseed(n, "random", 0.5), NAMES),
    st.builds(lambda v: lambda s: s.constrain(f"loss <= {v}"), st.floats(0.1, 0.9)),
    st.builds(lambda v: lambda s: s.aspire(size=v), st.floats(0.1, 0.2)),
    st.builds(lambda b: lambda s: s.enqueue(b), st.integers(2, 8)),
)
OPTIONS: dict[str, Any] = {"species": SPECIES, "population": 12, "min_size": 2}


def decided(ledger: Ledger) -> tuple[object, ...]:
    """All of a ledger but the budget, which a start sets as well."""
    steps = [
        [(one.constraints, one.controls, one.label) for one in some] for some in (ledger.done, ledger.undone)
    ]
    return ledger.species, ledger.constraints, ledger.controls, steps


def ask(study: Study, what: Callable[[Study], object]) -> bool:
    """Whether it was accepted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            what(study)
        except NemoError:
            return False
    return True


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), ASKED), max_size=12))
def test_the_record_followed_alone_gives_the_ledger_of_the_engine(plan: list[tuple[int, Any]]) -> None:
    study = create_study(ToyProblem(), **OPTIONS).optimize(14, progress=False)
    then: list[Snapshot] = []
    for evaluations, what in plan:
        if evaluations:
            study.optimize(evaluations, progress=False)
        ask(study, what)
        then.append(study.snapshot)
    now = study.snapshot
    assert decided(followed(Ledger(now.begun_with), now.record, study.problem)) == decided(now.ledger)
    for one, later in zip(then, [*then[1:], None], strict=False):
        if later is None or len(later.evaluations) > len(one.evaluations):  # the last of that moment
            shown = past(now, len(one.evaluations), study.problem)
            assert decided(shown.ledger) == decided(one.ledger)
            assert np.array_equal(np.sort(shown.front), np.sort(one.front))


@settings(max_examples=15, deadline=None)
@given(st.lists(ASKED, min_size=1, max_size=6))
def test_what_is_asked_within_one_evaluation_is_as_if_it_had_been_asked_one_by_one(plan: list[Any]) -> None:
    """The same is refused, and the same is in force after it, though nothing of it has taken effect yet."""
    alone = create_study(ToyProblem(), **OPTIONS).optimize(14, progress=False)
    problem = GatedProblem()
    problem.gate.set()
    together = create_study(problem, **OPTIONS).optimize(14, progress=False)
    problem.gate.clear()
    problem.entered.clear()
    together.start(1)
    assert problem.entered.wait(PATIENCE)
    accepted = [ask(alone, what) for what in plan]
    assert [ask(together, what) for what in plan] == accepted
    assert (together.pins, together.constraints, together.aspiration) == (
        alone.pins, alone.constraints, alone.aspiration,
    )  # fmt: skip
    problem.gate.set()
    assert together.wait(PATIENCE)
    assert together.snapshot.constraints == alone.snapshot.constraints
    assert together.snapshot.controls == alone.snapshot.controls
    assert together.pins == alone.pins


DECISIONS: st.SearchStrategy[Callable[[Ledger], Ledger]] = st.one_of(
    st.builds(lambda n: lambda x: x.enter(n), st.sampled_from((*SPECIES, "gcn", "unet"))),
    st.builds(lambda n: lambda x: x.remove(n), NAMES),
    st.builds(lambda n, f: lambda x: x.freeze(n, f), NAMES, st.booleans()),
    st.builds(lambda n, p: lambda x: x.share(n, p), NAMES, st.one_of(st.none(), st.floats(0.1, 0.9))),
    st.builds(lambda n, b: lambda x: x.pin({n: b}), st.integers(0, 5), st.integers(2, 8)),
    st.builds(lambda b: lambda x: x.end_at(b), st.integers(1, 99)),
    st.just(lambda x: x.note()),
)


def in_force(ledger: Ledger) -> tuple[object, ...]:
    """By the names of species: whether one is known that takes no part makes no difference."""
    names, controls = ledger.species, ledger.controls
    part = {name for s, name in enumerate(names) if s not in controls.removed}
    frozen = {names[s] for s in controls.frozen}
    shares = {names[s]: share for s, share in controls.shares.items()}
    return ledger.constraints, ledger.budget, part, frozen, shares


@given(st.lists(DECISIONS, max_size=12))
def test_every_undo_gives_what_was_in_force_before_and_every_redo_what_came_after(plan: list[Any]) -> None:
    ledger = Ledger(SPECIES).planned(50)
    course = [ledger]
    for decide in plan:
        after = decide(ledger)
        if after is not ledger:
            course.append(after)
        ledger = after
    for before in course[-2::-1]:
        ledger = ledger.undo()
        assert in_force(ledger) == in_force(before)
    for after in course[1:]:
        ledger = ledger.redo()
        assert in_force(ledger) == in_force(after)


def test_removing_the_last_two_and_undoing_twice_shows_the_same_pins_everywhere(tmp_path: Any) -> None:
    path = tmp_path / "run.sqlite"
    study = create_study(
        ToyProblem(), species=("continuous", "floor"), population=12, min_size=2, storage=path
    )
    study.optimize(20, progress=False)
    assert ask(study, lambda s: s.pin("layer0.weight", 4))
    study.optimize(5, progress=False)
    study.remove_species("floor")
    assert not ask(study, lambda s: s.remove_species("continuous"))
    study.undo()
    study.undo()
    study.optimize(1, progress=False)
    now = study.snapshot
    assert now.pins == past(now, len(now.evaluations) - 1, study.problem).pins == {}
    study.close()
    assert load_study(path, read_only=True).snapshot.pins == {}


def test_a_listener_never_sees_a_command_counted_twice() -> None:
    study, seen = create_study(ToyProblem(), **OPTIONS), []
    study.optimize(4, progress=False)
    study.listen(lambda: seen.append(len(study.pins) == len(study.snapshot.pins)))
    first, second, *_ = study.problem.node_names
    with warnings.catch_warnings(action="ignore"):  # new members wait
        study.pin(first, 4)
        study.pin(second, 4)
        study.undo()
    assert len(seen) >= 3
    assert all(seen)


def test_a_species_that_fails_to_join_leaves_no_trace() -> None:
    class Bad(ContinuousSpecies):
        name = "bad"

        def observe(self, view: object) -> None:
            raise RuntimeError("bad")

    study = create_study(ToyProblem(), **OPTIONS)
    study.optimize(30, progress=False)
    with pytest.raises(RuntimeError, match="bad"):
        study.add_species(Bad)
    study.add_species("gcn")
    study.optimize(6, progress=False)
    assert [one.name for one in study.species] == [*SPECIES, "gcn"]
    assert study.snapshot.ledger.species == (*SPECIES, "gcn")


def test_every_command_with_a_name_can_be_read_back_from_a_journal() -> None:
    assert {one for one in _all(Command) if one.action} == set(COMMANDS.values())


def _all(kind: type[Command]) -> set[type[Command]]:
    below = {one for one in kind.__subclasses__() if one.__module__.startswith("nemo_lab.")}
    return below.union(*map(_all, below))
