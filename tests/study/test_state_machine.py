"""The states of a run: what leads where, and that the manual draws it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nemo_lab.study.run.state_machine import ACTIVE, RESTING, TRANSITIONS, Phase, StateMachine, drawn

PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"


def test_the_manual_has_the_picture() -> None:
    assert drawn() in PAGE.read_text(encoding="utf-8")


def test_every_phase_is_reached_and_left() -> None:
    reached: set[Phase] = {"idle"}
    for _ in ACTIVE:
        reached |= {ways[start] for ways in TRANSITIONS.values() for start in reached & set(ways)}
    assert reached == {*ACTIVE, *RESTING}
    assert all(any(phase in ways for ways in TRANSITIONS.values()) for phase in reached)


@pytest.mark.parametrize("phase", [*ACTIVE, *RESTING])
def test_an_event_leads_somewhere_or_is_refused(phase: Phase) -> None:
    for event, ways in TRANSITIONS.items():
        machine = StateMachine(phase)
        assert machine.can(event) == (phase in ways)
        if machine.can(event):
            expected = machine.after(event)
            machine.take(event)
            assert machine.state == expected
        else:
            with pytest.raises(RuntimeError, match=f"{event} does not lead anywhere from {phase}"):
                machine.take(event)
            assert machine.phase == phase


def test_a_run_can_be_stopped_whenever_it_is_on_and_started_whenever_it_is_not() -> None:
    for phase in ACTIVE:
        assert StateMachine(phase).active
        assert StateMachine(phase).can("stop")
        assert not StateMachine(phase).can("start")
    for phase in RESTING:
        assert StateMachine(phase).can("start")
        assert not StateMachine(phase).can("stop")


def test_a_pause_that_is_asked_for_and_taken_back_leaves_nothing() -> None:
    machine = StateMachine("running")
    machine.take("pause")
    assert machine.state == "running"
    machine.take("resume")
    assert machine.phase == "running"
    assert not machine.can("hold")
