"""The panels made of controls: buttons and menus, each a keyboard's twin of a gesture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets as w

from nemo_lab.study import Study

Do = Callable[[Callable[[], None]], None]
WRAP = {"flex_flow": "row wrap", "align_items": "center"}


def button(text: str, tooltip: str, do: Do, action: Callable[[], None], style: str = "") -> w.Button:
    """A button that posts an action and returns."""
    made = w.Button(description=text, tooltip=tooltip, button_style=style, layout={"width": "auto"})
    made.on_click(lambda _: do(action))
    return made


def title(text: str, aside: str = "") -> w.HTML:
    """The heading of a panel, with a legend beside it."""
    return w.HTML(f'<div class="nemo-title"><span role="heading" aria-level="3">{text}</span> {aside}</div>')


class Controls:
    """State, start, pause, resume, stop, budget and progress of a study."""

    def __init__(self, study: Study, now: Do) -> None:
        self.budget = w.BoundedIntText(
            value=500, min=1, max=10_000_000, step=50, description="Evaluations", layout={"width": "190px"}
        )
        self.start = button(
            "Start",
            "Run this many more evaluations",
            now,
            lambda: study.start(int(self.budget.value)),
            "primary",
        )
        self.pause = button("Pause", "Hold after the evaluation in flight", now, study.pause)
        self.resume = button("Resume", "Go on after a pause", now, study.resume)
        self.more = button(
            "Add",
            "Let the run go on for so many evaluations more than it was to",
            now,
            lambda: study.set_budget(study.snapshot.target + int(self.budget.value)),
        )
        self.stop = button("Stop", "End the run; nothing is lost", now, study.stop)
        self.status = w.HTML()
        self.widget = w.VBox(
            [
                w.HBox([self.start, self.pause, self.resume, self.stop, self.budget, self.more], layout=WRAP),
                self.status,
            ]
        )

    def show(self, state: str, status: str) -> None:
        """Bring the controls to a state."""
        self.start.disabled = state in ("running", "paused", "stopping")
        self.pause.disabled = state != "running"
        self.resume.disabled = state != "paused"
        self.stop.disabled = self.more.disabled = state not in ("running", "paused")
        self.status.value = status


class Inspector:
    """The selected configuration: numbers, bits strip, and controls to choose it by keyboard."""

    def __init__(
        self,
        strip: w.Widget,
        do: Do,
        step: Callable[[int], None],
        on_config: Callable[[int], None],
        validate: Callable[[], None],
    ) -> None:
        self.previous = button("Previous", "The next smaller model of the front", do, lambda: step(-1))
        self.next = button("Next", "The next larger model of the front", do, lambda: step(1))
        self.validate = button("Validate", "Measure it on held-out images", do, validate)
        self.config = w.BoundedIntText(
            value=0, min=0, max=0, description="Config", style={"description_width": "48px"},
            layout={"width": "150px"},
        )  # fmt: skip
        self.quiet = False
        self.config.observe(self._changed, names="value")
        self._on_config = on_config
        self.text = w.HTML()
        self.widget = w.VBox(
            [
                title("Inspect"),
                w.HBox([self.previous, self.next, self.config, self.validate], layout=WRAP),
                self.text,
                strip,
            ],
            layout={"flex": "1 1 400px", "min_width": "0"},
        )

    def _changed(self, change: Any) -> None:
        if not self.quiet:
            self._on_config(int(change["new"]))

    def show(self, config: int | None, count: int, text: str) -> None:
        """Show a configuration of ``count``; only the publisher may call it."""
        self.quiet = True
        self.config.max = max(count - 1, 0)
        if config is not None:
            self.config.value = config
        self.quiet = False
        self.text.value = text
