"""The panel of the species: how each performs, its share, and which take part."""

from __future__ import annotations

import html
from collections.abc import Sequence

import ipywidgets as w
import numpy as np

from nemo_lab import plots
from nemo_lab.plots import info as infos
from nemo_lab.study import SOURCES, Snapshot
from nemo_lab.widgets import markup
from nemo_lab.widgets.elements.control import Control
from nemo_lab.widgets.elements.figure import Figure
from nemo_lab.widgets.elements.looks import alike
from nemo_lab.widgets.panels.base import WRAP, Panel, Throttle, field, row, title
from nemo_lab.widgets.view.records import View
from nemo_lab.widgets.view.state import ViewState

SELECTED = "selected"


class SpeciesPanel(Panel):
    """Allocation, R2, share and hypervolume; re-seeding, freezing, removing and shares."""

    def __init__(self, state: ViewState) -> None:
        super().__init__(state)
        study = state.study
        names = self._names = tuple(one.name for one in study.species)
        self.figure = Figure(lambda one: one.redraw(plots.species_plot, names))
        self._throttle = Throttle()
        self.figures = (self.figure,)
        self.species = field(w.Dropdown, "Species", 220, 64, options=names)
        self.source = field(w.Dropdown, "from", 150, 36, options=[*SOURCES, SELECTED])
        self.fraction = field(
            w.BoundedFloatText, "fraction", 140, 56, value=1.0, min=0.05, max=1.0, step=0.05
        )
        self.part = field(w.BoundedFloatText, "Share", 140, 64, value=0.5, min=0.05, max=0.95, step=0.05)
        self.reseed = self.button(
            "Re-seed",
            "Replace this fraction of the species, worst members first, from the source",
            self._reseed,
            "primary",
        )
        self.share = self.button(
            "Set share",
            "Give the species a fixed share of the population",
            lambda: study.share(self._name(), float(self.part.value)),
        )
        self.by_ucb = self.button(
            "Automatic share",
            "Let UCB decide the share of the species",
            lambda: study.share(self._name(), None),
        )
        self.freeze = self.button(
            "Freeze",
            "Keep the members of the species unchanged, or let them evolve again",
            lambda: study.freeze(self._name(), not study.controls().loc[self._name(), "frozen"]),
        )
        self.remove = self.button(
            "Remove", "Take the species out of the search, or add it back", self._remove
        )
        self.table = alike(w.HTML, {"flex": "1 1 480px"})
        self._species = Control(self.species, lambda _: self.do(lambda: self._name_buttons(study.snapshot)))
        controls = [
            row(self.species, self.freeze, self.remove),
            row(self.reseed, self.source, self.fraction),
            row(self.part, self.share, self.by_ucb),
        ]
        beside = alike(
            w.HBox,
            {**WRAP, "align_items": "flex-start"},
            children=[self.table, alike(w.VBox, {"flex": "0 1 400px"}, children=controls)],
        )
        self._compose([title("Species"), self.figure, beside])

    def _name(self) -> str:
        return str(self.species.value)

    def _reseed(self) -> None:
        source: str | list[int] = str(self.source.value)
        if source == SELECTED:
            source = [self.state.chosen()]
        self.study.reseed(self._name(), source, float(self.fraction.value))

    def _remove(self) -> None:
        if self.study.controls().loc[self._name(), "takes_part"]:
            self.study.remove_species(self._name())
        else:
            self.study.add_species(self._name())

    def show(self, view: View) -> None:
        """See ``Panel``."""
        names = tuple(one.name for one in self.study.species)
        if names != self._names:  # one was added
            self._names = names
            self.figure.redraw(plots.species_plot, names)
            self._species.show(self._name(), options=names)
        self._name_buttons(view.now)
        if not self._throttle.due(view):
            return
        self.figure.show(plots.species_columns(infos.species_info(view.snapshot, names)))
        self.table.value = _table(view.snapshot, [(one.name, one.summary) for one in self.study.species])

    def _name_buttons(self, now: Snapshot) -> None:
        """Label the buttons by what they do to the chosen species."""
        position, decided = self._names.index(self._name()), now.controls
        self.freeze.description = "Unfreeze" if position in decided.frozen else "Freeze"
        self.remove.description = "Add back" if position in decided.removed else "Remove"
        for one in (self.reseed, self.share, self.by_ucb, self.freeze):
            one.disabled = position in decided.removed


def _table(snapshot: Snapshot, species: Sequence[tuple[str, str]]) -> str:
    """What each species is in a sentence, and how it stands."""
    log, controls = snapshot.evaluations, snapshot.controls
    made = np.bincount(log.species[log.species >= 0], minlength=len(species))
    owners = log.species[snapshot.front]
    rows = []
    for position, (name, summary) in enumerate(species):
        slots = snapshot.allocation[position] if position < len(snapshot.allocation) else 0
        notes = [f"share fixed at {controls.shares[position]:.0%}"] if position in controls.shares else []
        notes += ["frozen"] if position in controls.frozen else []
        notes += ["removed"] if position in controls.removed else []
        note = f" <b>({', '.join(notes)})</b>" if notes else ""
        rows.append(
            f"<tr><th scope='row'>{markup.species_sign(position)} {html.escape(name)}</th>"
            f"<td>{slots}</td><td>{made[position]}</td><td>{(owners == position).sum()}</td>"
            f"<td class='nemo-hint'>{html.escape(summary)}{note}</td></tr>"
        )
    head = "".join(
        f"<th scope='col'>{column}</th>"
        for column in ("species", "slots", "evaluations", "on front", "description")
    )
    return f"<table class='nemo-table'><tr>{head}</tr>{''.join(rows)}</table>"
