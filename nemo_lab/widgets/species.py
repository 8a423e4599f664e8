"""The panel of the species: how they fare, and who takes part."""

from __future__ import annotations

import ipywidgets as w

from nemo_lab import plots
from nemo_lab.plots import info as infos
from nemo_lab.study import SOURCES
from nemo_lab.widgets import text
from nemo_lab.widgets.figure import Figure
from nemo_lab.widgets.hub import Hub, View
from nemo_lab.widgets.panel import Panel, field, row, title

SELECTED = "selected"


class SpeciesPanel(Panel):
    """Allocation, R2, share and hypervolume; re-seeding, freezing, removing and shares."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        study = hub.study
        names = tuple(one.name for one in study.species)
        self._names = names
        self.figure = Figure(plots.species_plot(names))
        self.species = field(w.Dropdown, "Species", 220, 64, options=names)
        self.source = field(w.Dropdown, "from", 150, 36, options=[*SOURCES, SELECTED])
        self.fraction = field(w.BoundedFloatText, "share", 130, 42, value=1.0, min=0.05, max=1.0, step=0.05)
        self.reseed = self.button(
            "Re-seed",
            "Replace this share of the species, its worst, by new members from the source",
            self._reseed,
            "primary",
        )
        self.share = self.button(
            "Set share",
            "Give the species this share of all members, whatever UCB says",
            lambda: study.share(self._name(), float(self.fraction.value)),
        )
        self.by_ucb = self.button(
            "Share by UCB", "Leave the share of the species to UCB", lambda: study.share(self._name(), None)
        )
        self.freeze = self.button(
            "Freeze",
            "Keep the members of the species as they are, or let them go on",
            lambda: study.freeze(self._name(), not study.controls().loc[self._name(), "frozen"]),
        )
        self.remove = self.button(
            "Remove", "Let the species take no part any more, or let it in again", self._remove
        )
        self.species.observe(lambda _: hub.publisher.wake(), names="value")
        self._compose(
            [
                title("Species", text.species_legend(names, colored=True)),
                self.figure,
                row(self.species, self.source, self.fraction, self.reseed),
                row(self.share, self.by_ucb, self.freeze, self.remove),
            ]
        )

    def _name(self) -> str:
        return str(self.species.value)

    def _reseed(self) -> None:
        source: str | list[int] = str(self.source.value)
        if source == SELECTED:
            source = [self.hub.chosen()]
        self.study.reseed(self._name(), source, float(self.fraction.value))

    def _remove(self) -> None:
        if self.study.controls().loc[self._name(), "takes_part"]:
            self.study.remove_species(self._name())
        else:
            self.study.add_species(self._name())

    def show(self, view: View) -> None:
        """See ``Panel``."""
        self.figure.show(plots.species_columns(infos.species_info(view.snapshot, self._names)))
        names = [one.name for one in self.study.species]
        if list(self.species.options) != names:
            chosen = self.species.value
            self.species.options = names
            self.species.value = chosen
        position, now = names.index(self._name()), view.now.controls
        self.freeze.description = "Let it go on" if position in now.frozen else "Freeze"
        self.remove.description = "Let in again" if position in now.removed else "Remove"
        for one in (self.reseed, self.share, self.by_ucb, self.freeze):
            one.disabled = position in now.removed
