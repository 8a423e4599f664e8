"""Controls for what a run is asked for, and for who takes part in it."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as w

from nemo_lab.errors import ArgumentError
from nemo_lab.study import SOURCES, Snapshot, Study
from nemo_lab.widgets.panels import WRAP, Do, button

SELECTED = "selected"


class Wishes:
    """Constraints and the aspiration box, as text."""

    def __init__(self, study: Study, do: Do) -> None:
        wide = {"description_width": "76px"}
        first = study.problem.objective_names[0]
        self.constraints = w.Text(
            placeholder=f"{first} <= 0.05, ...", description="Keep to", style=wide,
            tooltip="Constraints that every good configuration keeps, separated by commas; empty for none",
            layout={"width": "min(300px, 98%)"},
        )  # fmt: skip
        self.aspiration = w.Text(
            placeholder=f"{first} 0 to 0.1, ...", description="Look within", style=wide,
            tooltip="A box of objectives to concentrate on, separated by commas; empty for everything",
            layout={"width": "min(300px, 98%)"},
        )  # fmt: skip
        self.constrain = button(
            "Constrain",
            "Ask for this of every good configuration, in place of what was asked before",
            do,
            lambda: study.constrain(*_parts(self.constraints.value)),
        )
        self.aspire = button(
            "Aspire",
            "Concentrate the search on this box, in place of the one before",
            do,
            lambda: study.aspire(**box(self.aspiration.value)),
        )
        self.state = w.HTML()
        self.rows = [
            w.HBox([self.constraints, self.constrain], layout=WRAP),
            w.HBox([self.aspiration, self.aspire], layout=WRAP),
            self.state,
        ]


class SpeciesControls:
    """Re-seeding, freezing, removing and adding species, and their shares.

    Args:
        study: whose species.
        do: carries an action out soon.
        selected: gives the selected configuration, None if there is none.
    """

    def __init__(self, study: Study, do: Do, selected: Callable[[], int | None]) -> None:
        self._study = study
        self.species = w.Dropdown(
            options=[one.name for one in study.species],
            description="Species",
            style={"description_width": "64px"},
            layout={"width": "220px"},
        )
        self.source = w.Dropdown(
            options=[*SOURCES, SELECTED],
            description="from",
            style={"description_width": "36px"},
            layout={"width": "150px"},
        )
        self.fraction = w.BoundedFloatText(
            value=1.0, min=0.05, max=1.0, step=0.05, description="share", style={"description_width": "42px"},
            layout={"width": "130px"},
        )  # fmt: skip

        def name() -> str:
            return str(self.species.value)

        def frozen() -> bool:
            return bool(study.controls().loc[name(), "frozen"])

        def takes_part() -> bool:
            return bool(study.controls().loc[name(), "takes_part"])

        def reseed() -> None:
            source: str | list[int] = str(self.source.value)
            if source == SELECTED:
                config = selected()
                if config is None:
                    raise ValueError("no configuration is selected; tap a point of the front first")
                source = [config]
            study.reseed(name(), source, float(self.fraction.value))

        self.reseed = button(
            "Re-seed",
            "Replace this share of the species, its worst, by new members from the source",
            do,
            reseed,
            "primary",
        )
        self.share = button(
            "Set share",
            "Give the species this share of all members, whatever UCB says",
            do,
            lambda: study.share(name(), float(self.fraction.value)),
        )
        self.by_ucb = button(
            "Share by UCB", "Leave the share of the species to UCB", do, lambda: study.share(name(), None)
        )
        self.freeze = button(
            "Freeze",
            "Keep the members of the species as they are, or let them go on",
            do,
            lambda: study.freeze(name(), not frozen()),
        )
        self.remove = button(
            "Remove",
            "Let the species take no part any more, or let it in again",
            do,
            lambda: study.remove_species(name()) if takes_part() else study.add_species(name()),
        )
        self.species.observe(lambda _: self.show(study.snapshot), names="value")
        self.rows = [
            w.HBox([self.species, self.source, self.fraction, self.reseed], layout=WRAP),
            w.HBox([self.share, self.by_ucb, self.freeze, self.remove], layout=WRAP),
        ]

    def show(self, snapshot: Snapshot) -> None:
        """Say what the buttons do to the chosen species."""
        names = [one.name for one in self._study.species]
        if list(self.species.options) != names:
            chosen = self.species.value
            self.species.options = names
            self.species.value = chosen
        position = names.index(str(self.species.value))
        now = snapshot.controls
        self.freeze.description = "Let it go on" if position in now.frozen else "Freeze"
        self.remove.description = "Let in again" if position in now.removed else "Remove"
        for one in (self.reseed, self.share, self.by_ucb, self.freeze):
            one.disabled = position in now.removed


class History:
    """What was done, and its undoing."""

    def __init__(self, study: Study, do: Do) -> None:
        self.undo = button("Undo", "Take back the latest steer; what was evaluated stays", do, study.undo)
        self.redo = button("Redo", "Make the steer again that was undone last", do, study.redo)
        self.text = w.HTML()
        self.rows = [w.HBox([self.undo, self.redo], layout=WRAP), self.text]

    def show(self, snapshot: Snapshot, text: str) -> None:
        """Bring it to a snapshot."""
        self.undo.disabled, self.redo.disabled = not snapshot.undo, not snapshot.redo
        self.undo.tooltip = f"Take back: {snapshot.undo}" if snapshot.undo else "There is nothing to undo"
        self.redo.tooltip = f"Make again: {snapshot.redo}" if snapshot.redo else "There is nothing to redo"
        self.text.value = text


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def box(text: str) -> dict[str, float | tuple[float, float]]:
    """``"task_error 0 to 0.1, model_mb <= 2"`` as keywords of ``Study.aspire``.

    Raises:
        ArgumentError: on what cannot be read so.
    """
    found: dict[str, float | tuple[float, float]] = {}
    for part in _parts(text):
        name, sign, high = (one.strip() for one in part.partition("<="))
        try:
            if sign:
                found[name] = float(high)
            else:
                rest, _, last = part.rpartition(" to ")
                name, _, first = rest.strip().rpartition(" ")
                found[name.strip()] = (float(first), float(last))
        except ValueError as error:
            raise ArgumentError(
                f"{part!r} cannot be read", "write 'task_error 0 to 0.1' or 'model_mb <= 2'"
            ) from error
    return found
