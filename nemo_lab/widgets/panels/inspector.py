"""The panel of the selected configuration."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets as w

from nemo_lab import plots
from nemo_lab.plots import info as infos
from nemo_lab.search.objective import varied
from nemo_lab.study.parsing.configs import known_config
from nemo_lab.study.results.decision_making import choices
from nemo_lab.widgets.elements.control import Control
from nemo_lab.widgets.elements.copy_button import CopyButton
from nemo_lab.widgets.elements.figure import Figure
from nemo_lab.widgets.elements.looks import alike
from nemo_lab.widgets.panels import inspector_html
from nemo_lab.widgets.panels.base import Panel, field, row, title
from nemo_lab.widgets.panels.draft import DraftControls
from nemo_lab.widgets.view.records import View
from nemo_lab.widgets.view.state import ViewState

NO_CHOICE = "by hand"
SET_BASELINE, CLEAR_BASELINE = "Set as baseline", "Clear baseline"
EMPTY = '<span class="nemo-hint">Click a point of the front, or choose a configuration here.</span>'


class InspectorPanel(Panel):
    """The selected configuration beside another: numbers, bits strip, edits by hand.

    Args:
        state: what people look at, shared by all panels.
    """

    def __init__(self, state: ViewState) -> None:
        super().__init__(state)
        problem = state.problem
        self._kinds = infos.graph_info(problem).kinds
        self.text, self.marks = alike(w.HTML), alike(w.HTML)
        self.strip = Figure(
            lambda one: one.redraw(plots.bits_plot, tuple(problem.node_names), tuple(problem.bit_widths)),
            selectable={"bars": True},
            on_select=lambda _, keys: state.select_nodes(tuple(keys)),
        )
        self.figures = (self.strip,)
        self.draft = DraftControls(self)
        self.copy = CopyButton(label="Copy as Python")
        self._compose(
            [
                title("Inspector"),
                *self._choosing(),
                self.text,
                self.strip,
                self.marks,
                *self.draft.rows,
                self.copy,
            ],
            flex="1 1 430px",
            min_width="0",
        )

    def _choosing(self) -> list[w.Widget]:
        state = self.state
        self.previous = self.button(
            "Previous", "The next smaller configuration on the front", lambda: state.step(-1)
        )
        self.next = self.button("Next", "The next larger configuration on the front", lambda: state.step(1))
        self.config = field(w.BoundedIntText, "Config", 150, 48, value=0, min=0, max=0)
        self._config = Control(self.config, lambda number: state.select(int(number)))
        self._choices = choices(varied(state.problem))
        self.choice = field(w.Dropdown, "Select", 330, 48, options=[NO_CHOICE, *self._choices])
        self._choice = Control(self.choice, self._prefer)
        # at once: they act on what is shown when they are pressed, not on a later selection
        self.validate = self.press(
            "Validate", "Measure this configuration on held-out data", lambda: self.now(self._validate)
        )
        self.baseline = self.press(
            SET_BASELINE,
            "Compare every later selection with this configuration",
            lambda: self.now(self._toggle_baseline),
        )
        self.against = field(
            w.Text, "Baseline", 230, 60, placeholder="previous selection", continuous_update=False,
            tooltip="Number of the configuration to compare with; empty for the previous selection",
        )  # fmt: skip
        self._against = Control(
            self.against, lambda typed: self.now(lambda: self._compare_with(typed.strip()))
        )
        return [
            row(self.choice, self.previous, self.next, self.config),
            row(self.against, self.baseline, self.validate),
        ]

    def _prefer(self, name: str) -> None:
        if name in self._choices:
            self.now(lambda: self.state.prefer(self._choices[name]))

    def _compare_with(self, typed: str) -> None:
        number: object = int(typed) if typed.isdecimal() else typed
        count = len(self.study.snapshot.evaluations)
        self.state.set_baseline(known_config(number, count) if typed else None)

    def _toggle_baseline(self) -> None:
        self.state.set_baseline(self.state.chosen() if self.state.baseline is None else None)

    def _validate(self) -> None:
        config = self.state.chosen()
        self.in_background(lambda: self.study.validate(config))

    def show(self, view: View) -> None:
        """See ``Panel``."""
        last = max(len(view.snapshot.evaluations) - 1, 0)
        if view.config is None:  # nothing is selected, or it was not yet made then
            self._config.show(min(self._config.value, last), max=last)
        elif self.state.config == view.config:  # else somebody selected another one meanwhile
            self._config.show(view.config, max=last)
        self._against.show("" if self.state.baseline is None else str(self.state.baseline))
        if self.state.preferred is view.preferred:  # else somebody chose meanwhile
            preferred = (name for name, one in self._choices.items() if one is view.preferred)
            self._choice.show(next(preferred, NO_CHOICE))
        self.baseline.description = CLEAR_BASELINE if view.has_baseline else SET_BASELINE
        self.draft.show(view)
        names, widths = self.problem.node_names, self.problem.bit_widths
        shown = view.shown
        subjects = self._subjects(view)
        self.text.value = self._words(view, subjects)
        self.marks.value = inspector_html.marks(subjects)
        self.strip.show(plots.bits_columns(shown, names, widths, view.other), {"bars": view.nodes})
        self.copy.text = "" if shown is None else inspector_html.as_python(self.problem, shown)

    def _subjects(self, view: View) -> list[inspector_html.Subject]:
        """What is shown, what it is compared with, and beside a draft the baseline."""
        if view.config is None:
            return []
        snapshot, problem, validated = view.snapshot, self.problem, self.study.validated
        found = [inspector_html.evaluated(snapshot, problem, view.config, validated)]
        if view.draft is not None:
            found.insert(0, inspector_html.drafted(problem, view.draft))
        if view.against not in (None, view.config) and (view.draft is None or view.has_baseline):
            found.append(inspector_html.evaluated(snapshot, problem, view.against, validated))
        return found

    def _words(self, view: View, subjects: Sequence[inspector_html.Subject]) -> str:
        if view.config is None:
            return EMPTY
        species = [one.name for one in self.study.species]
        table = inspector_html.table(self.problem, self._kinds, subjects)
        written = {} if view.draft is not None else self.study.written.get(view.config, {})
        size = inspector_html.size(self.problem, subjects[0].bits, written)
        return table + size + inspector_html.origin(view.snapshot, species, view.config)
