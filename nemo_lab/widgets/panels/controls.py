"""The panel that runs a study: its state, start, pause, resume, stop, budget and progress."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import ipywidgets as w

from nemo_lab.widgets import markup
from nemo_lab.widgets.elements.looks import alike
from nemo_lab.widgets.panels.base import Panel, field, row
from nemo_lab.widgets.panels.saving import SavingControls
from nemo_lab.widgets.view.records import View
from nemo_lab.widgets.view.state import ViewState


class ControlsPanel(Panel):
    """State, buttons, budget, progress, files, and the failure that ended a run.

    Args:
        state: what people look at, shared by all panels.
        save_report: writes a report to a path.
    """

    def __init__(self, state: ViewState, save_report: Callable[[Path], object]) -> None:
        super().__init__(state)
        study = state.study
        self.budget = field(
            w.BoundedIntText, "Evaluations", 190, 90, value=500, min=1, max=10_000_000, step=50
        )
        self.start = self.press(
            "Start",
            "Run this many more evaluations",
            lambda: self.now(lambda: study.start(int(self.budget.value))),
            "primary",
        )
        self.pause = self.press("Pause", "Pause after the current evaluation", lambda: self.now(study.pause))
        self.resume = self.press("Resume", "Continue the run", lambda: self.now(study.resume))
        self.stop = self.press("Stop", "End the run; all evaluations are kept", lambda: self.now(study.stop))
        self.more = self.press(
            "Extend",
            "Extend the run by this many evaluations",
            lambda: self.now(lambda: study.set_budget(study.snapshot.target + int(self.budget.value))),
        )
        self.status = alike(w.HTML)
        self.failure = alike(w.HTML)
        buttons = [self.start, self.pause, self.resume, self.stop, self.budget, self.more]
        self.saving = SavingControls(self, save_report)
        self._compose([row(row(*buttons), self.saving.row), self.status, self.failure])

    def show(self, view: View) -> None:
        """See ``Panel``."""
        state = view.now.state
        self.start.disabled = state in ("running", "paused", "stopping")
        self.pause.disabled = state != "running"
        self.resume.disabled = state != "paused"
        self.stop.disabled = state not in ("running", "paused")
        self.more.disabled = self.stop.disabled or view.now.endless  # there is no end to put off
        self.status.value = markup.status(view.now, self.study.seed)
        self.failure.value = markup.failure(view.now.error) if view.now.error else ""
