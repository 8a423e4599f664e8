"""The panel of the selected configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ipywidgets as w

from nemo_lab import plots
from nemo_lab.plots import info as infos
from nemo_lab.search.objective import varied
from nemo_lab.study.results.decision_making import choices
from nemo_lab.widgets.elements.copy_button import Copy
from nemo_lab.widgets.elements.figure import Figure
from nemo_lab.widgets.panels import inspector_html
from nemo_lab.widgets.panels.base import Panel, field, row, title
from nemo_lab.widgets.panels.draft import DraftControls
from nemo_lab.widgets.view_state import Hub, View

NO_CHOICE = "along the front"
EMPTY = '<span class="nemo-hint">Tap a point of the front, or choose a configuration here.</span>'


class InspectorPanel(Panel):
    """The selected configuration beside another: numbers, bits strip, edits by hand.

    Args:
        hub: what the panels share.
    """

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        problem = hub.problem
        self._kinds = infos.graph_info(problem).kinds
        self._quiet = False
        self.text, self.marks = w.HTML(), w.HTML()
        self.strip = Figure(
            lambda: plots.bits_plot(problem.node_names, problem.bit_widths),
            selectable={"bars": True},
            on_select=lambda _, keys: hub.select_nodes(tuple(keys)),
        )
        self.figures = (self.strip,)
        self.draft = DraftControls(self)
        self.copy = Copy(label="Copy as Python")
        self._compose(
            [
                title("Inspect"),
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
        hub = self.hub
        self.previous = self.button("Previous", "The next smaller model of the front", lambda: hub.step(-1))
        self.next = self.button("Next", "The next larger model of the front", lambda: hub.step(1))
        self.config = field(w.BoundedIntText, "Config", 150, 48, value=0, min=0, max=0)
        self.config.observe(self._typed, names="value")
        self._choices = choices(varied(hub.problem))
        self.choice = field(w.Dropdown, "Choose the", 330, 76, options=[NO_CHOICE, *self._choices])
        self.choice.observe(lambda change: self._prefer(change["new"]), names="value")
        # at once: they mean what is shown when they are pressed, not what is selected next
        self.validate = self.press(
            "Validate", "Measure it on held-out images", lambda: self.now(self._validate)
        )
        self.keep = self.press(
            "Keep to compare",
            "Compare all that is selected from now on with this one",
            lambda: self.now(self._keep),
        )
        self.against = field(
            w.Text, "compare with", 230, 92, placeholder="the one before", continuous_update=False,
            tooltip="Number of a configuration to compare with; empty for the one selected before",
        )  # fmt: skip
        self.against.observe(self._compare, names="value")
        return [
            row(self.choice, self.previous, self.next, self.config),
            row(self.against, self.keep, self.validate),
        ]

    def _typed(self, change: Any) -> None:
        if not self._quiet:
            self.hub.select(int(change["new"]))

    def _prefer(self, name: str) -> None:
        if name in self._choices and not self._quiet:
            self.do(lambda: self.hub.prefer(self._choices[name]))

    def _compare(self, change: Any) -> None:
        if not self._quiet:
            self.now(lambda: self._compare_with(str(change["new"]).strip()))

    def _compare_with(self, number: str) -> None:
        last = len(self.study.snapshot.evaluations) - 1
        if number and not (number.isdecimal() and int(number) <= last):
            raise ValueError(f"there is no configuration {number!r}; give a number from 0 to {last}")
        self.hub.compare(int(number) if number else None)

    def _keep(self) -> None:
        self.hub.compare(self.hub.chosen() if self.hub.kept is None else None)

    def _validate(self) -> None:
        config = self.hub.chosen()
        self.aside(lambda: self.study.validate(config))

    def show(self, view: View) -> None:
        """See ``Panel``."""
        self._quiet = True
        last = max(len(view.snapshot.evaluations) - 1, 0)
        self.config.max = last
        if view.config is not None:
            self.config.value = view.config
        self.against.value = "" if self.hub.kept is None else str(self.hub.kept)
        preferred = (name for name, one in self._choices.items() if one is view.preferred)
        self.choice.value = next(preferred, NO_CHOICE)
        self._quiet = False
        self.keep.description = "Compare no more" if view.kept else "Keep to compare"
        self.draft.show(view)
        names, widths = self.problem.node_names, self.problem.bit_widths
        shown = view.shown
        subjects = self._subjects(view)
        self.text.value = self._words(view, subjects)
        self.marks.value = inspector_html.marks(subjects)
        self.strip.show(plots.bits_columns(shown, names, widths, view.other), {"bars": view.nodes})
        self.copy.text = "" if shown is None else inspector_html.as_python(self.problem, shown)

    def _subjects(self, view: View) -> list[inspector_html.Subject]:
        """What is shown, what it is compared with, and beside a draft what was kept."""
        if view.config is None:
            return []
        snapshot, problem, validated = view.snapshot, self.problem, self.study.validated
        found = [inspector_html.evaluated(snapshot, problem, view.config, validated)]
        if view.draft is not None:
            found.insert(0, inspector_html.drafted(problem, view.draft))
        if view.against not in (None, view.config) and (view.draft is None or view.kept):
            found.append(inspector_html.evaluated(snapshot, problem, view.against, validated))
        return found

    def _words(self, view: View, subjects: Sequence[inspector_html.Subject]) -> str:
        if view.config is None:
            return EMPTY
        species = [one.name for one in self.study.species]
        table = inspector_html.table(self.problem, self._kinds, subjects)
        return table + inspector_html.origin(view.snapshot, species, view.config)
