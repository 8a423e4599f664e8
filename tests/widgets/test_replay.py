"""The run shown again from its beginning, and people who go elsewhere meanwhile."""

from __future__ import annotations

import threading

import pytest

from nemo_lab import create_study
from nemo_lab.widgets.panels.front import FrontPanel
from nemo_lab.widgets.view.state import ViewState
from tests.toy import ToyProblem
from tests.widgets.conftest import SMALL
from tests.widgets.watching import button, until


def replayed(state: ViewState) -> None:
    """Press Replay, and wait until it is over."""
    button(FrontPanel(state).widget, "Replay").click()
    until(lambda: "nemo_lab background" not in {one.name for one in threading.enumerate()})


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> ViewState:
    monkeypatch.setattr("nemo_lab.widgets.panels.front.REPLAY_SECONDS", 0.4)
    study = create_study(ToyProblem(), **SMALL).optimize(20, progress=False)
    made = ViewState(study, lambda: None)
    monkeypatch.setattr(made.publisher, "do", lambda action, notify: action())  # at once, and draws nothing
    return made


def test_a_replay_goes_from_the_beginning_to_the_present(
    state: ViewState, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[int | None] = []
    monkeypatch.setattr(state.publisher, "wake", lambda: shown.append(state.moment))
    state.go_to(7)
    replayed(state)
    assert [one for one in shown if one is not None] == [7, *range(20)]
    assert state.moment is None


@pytest.mark.parametrize("step", [1, 2, 9])
@pytest.mark.parametrize("moment", [None, 5])
def test_who_goes_elsewhere_in_the_middle_of_a_step_takes_over(
    state: ViewState, monkeypatch: pytest.MonkeyPatch, step: int, moment: int | None
) -> None:
    shown: list[int | None] = []

    def wake() -> None:
        shown.append(state.moment)
        if len(shown) == step:  # before the replay has gone on to its next line
            state.go_to(moment)

    monkeypatch.setattr(state.publisher, "wake", wake)
    replayed(state)
    assert state.moment == moment
    assert shown[:step] == list(range(step))
    assert set(shown[step:]) == {moment}
