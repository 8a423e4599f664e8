"""What is asked for and who takes part, by the dashboard's controls; and what is taken back."""

from __future__ import annotations

from typing import Any

import pytest

from nemo_lab import create_study
from nemo_lab.errors import ArgumentError
from nemo_lab.study.parsing.objectives import ObjectiveNames
from nemo_lab.widgets.panels.steering import box
from tests.toy import SlowProblem, ToyProblem
from tests.widgets.conftest import SMALL, Open
from tests.widgets.watching import button, until, words


def test_wishes_are_typed_shown_and_taken_back(open_dashboard: Open) -> None:
    study = create_study(ToyProblem(), **SMALL).optimize(40, progress=False)
    dashboard = open_dashboard(study)
    wishes = dashboard._steering
    assert button(dashboard, "Undo").disabled
    wishes.constraints.value = "loss <= 0.5, size <= 0.2"
    button(dashboard, "Constrain").click()
    until(lambda: "loss <= 0.5, size <= 0.2" in words(dashboard.steering))
    assert study.constraints == {"loss": 0.5, "size": 0.2}
    wishes.aspiration.value = "loss 0 to 0.3, work <= 0.2"
    button(dashboard, "Aspire").click()
    until(lambda: "within loss 0 to 0.3" in words(dashboard.steering))
    assert set(study.aspiration) == {"loss", "work"}
    until(lambda: not button(dashboard, "Undo").disabled)
    button(dashboard, "Undo").click()
    until(lambda: study.aspiration == {})
    button(dashboard, "Undo").click()
    until(lambda: "No constraints" in words(dashboard.steering))
    until(lambda: not button(dashboard, "Redo").disabled)
    button(dashboard, "Redo").click()
    until(lambda: study.constraints == {"loss": 0.5, "size": 0.2})
    wishes.constraints.value = "loss about 0.5"
    button(dashboard, "Constrain").click()
    until(lambda: "cannot be read" in words(dashboard))


def test_species_are_steered_by_the_buttons(open_dashboard: Open) -> None:
    study = create_study(SlowProblem(), **SMALL).optimize(30, progress=False)
    dashboard = open_dashboard(study)
    panel = dashboard._species
    panel.species.value = "floor"

    def state() -> Any:
        return study.controls().loc["floor"]

    panel.part.value = 0.4
    button(dashboard, "Set share").click()
    until(lambda: state()["share"] == 0.4)
    button(dashboard, "Share by merit").click()
    until(lambda: state()["share"] != state()["share"])
    button(dashboard, "Freeze").click()
    until(lambda: panel.freeze.description == "Let it go on")
    assert state()["frozen"]
    panel.freeze.click()
    until(lambda: panel.freeze.description == "Freeze")
    button(dashboard, "Remove").click()
    until(lambda: panel.remove.description == "Let in again")
    assert not state()["takes_part"]
    until(lambda: panel.reseed.disabled)
    panel.remove.click()
    until(lambda: panel.remove.description == "Remove")
    assert state()["takes_part"]
    dashboard.select(3)
    panel.source.value = "selected"
    until(lambda: not panel.reseed.disabled)
    button(dashboard, "Re-seed").click()
    until(lambda: "floor from configurations 3" in words(dashboard.history))


def test_a_run_is_extended(open_dashboard: Open) -> None:
    study = create_study(SlowProblem(), **SMALL).optimize(30, progress=False)
    dashboard = open_dashboard(study)
    dashboard._controls.budget.value = 200
    button(dashboard, "Start").click()
    until(lambda: len(study.evaluations()) > 35)
    dashboard._controls.budget.value = 50
    button(dashboard, "Add").click()
    until(lambda: study.snapshot.target == 280)
    study.stop()


@pytest.mark.parametrize("text", ["loss", "loss 0 bis 1", "loss <= little", "0 to 1 loss"])
def test_a_box_that_cannot_be_read_says_how_to_write_it(text: str) -> None:
    with pytest.raises(ArgumentError, match=r"write .loss 0 to 0\.1. or .loss <= 0\.1."):
        box(text, ObjectiveNames(ToyProblem()))
