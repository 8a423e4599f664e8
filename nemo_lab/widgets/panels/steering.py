"""The panel that steers: pins, constraints and the aspiration."""

from __future__ import annotations

import ipywidgets as w

from nemo_lab.errors import ArgumentError
from nemo_lab.study.parsing.objectives import ObjectiveNames
from nemo_lab.widgets import markup
from nemo_lab.widgets.elements.control import Control
from nemo_lab.widgets.elements.looks import alike
from nemo_lab.widgets.panels.base import Panel, field, row, title
from nemo_lab.widgets.view.records import View
from nemo_lab.widgets.view.state import ViewState


class SteeringPanel(Panel):
    """Pins of nodes that are selected or named, constraints, and the aspiration box."""

    def __init__(self, state: ViewState) -> None:
        super().__init__(state)
        study, problem = state.study, state.problem
        names, widths = list(problem.node_names), problem.bit_widths
        self._names = names
        self._shown: tuple[int, ...] = ()
        self.nodes = field(w.SelectMultiple, "Nodes", 380, 64, options=names, rows=8)
        self._listed = Control(self.nodes, lambda index: state.select_nodes(tuple(index)), trait="index")
        self.matching = field(w.Text, "matching", 380, 64, placeholder="or a glob such as *.weight")
        self.width = field(w.Dropdown, "to bits", 140, 64, options=list(widths), value=widths[-1])
        most = [("same", 0), *((str(width), width) for width in widths)]
        self.most = field(w.Dropdown, "up to", 110, 36, options=most)
        self.pin = self.button("Pin", "Fix the bit-width of matching or selected nodes", self._pin, "primary")
        self.unpin = self.button(
            "Unpin",
            "Release matching or selected nodes",
            lambda: study.unpin(self._chosen()),
        )
        self.unpin_all = self.button("Unpin all", "Release every node", study.unpin)
        self.pins = alike(w.HTML)
        self._make_constraints()
        buttons = [self.width, self.most, self.pin, self.unpin, self.unpin_all]
        self._compose(
            [
                title("Steering"),
                self.nodes,
                self.matching,
                row(*buttons),
                self.pins,
                row(self.constraints, self.constrain),
                row(self.aspiration, self.aspire),
                self.in_force,
            ],
            flex="1 1 400px",
            min_width="0",
        )

    def _make_constraints(self) -> None:
        study = self.study
        names = ObjectiveNames(study.problem)
        self.constraints = field(
            w.Text,
            "Constraints",
            330,
            84,
            placeholder=f"{names.example}, ...",
            tooltip="Bounds for every member of the front, separated by commas; empty for none",
        )
        self.aspiration = field(
            w.Text,
            "Aspiration",
            330,
            84,
            placeholder=f"{names.box_example}, ...",
            tooltip="Ranges of objectives to focus the search on, separated by commas; empty for none",
        )
        self.constrain = self.button(
            "Set constraints",
            "Replace the constraints by these",
            lambda: study.constrain(*_parts(self.constraints.value)),
        )
        self.aspire = self.button(
            "Set aspiration",
            "Focus the search on these ranges",
            lambda: study.aspire(**box(self.aspiration.value, names)),
        )
        self.in_force = alike(w.HTML)

    def _chosen(self) -> str | list[str]:
        picked = self.matching.value.strip() or [self._names[node] for node in self.state.nodes]
        if not picked:
            raise ValueError("no node is selected; select some in the network or the list, or type a glob")
        return picked

    def _pin(self) -> None:
        width, most = int(self.width.value), self.most.value
        self.study.pin(self._chosen(), width if not most else (width, int(most)))

    def show(self, view: View) -> None:
        """See ``Panel``."""
        if view.nodes != self._shown:  # a newer choice than the glob
            self._shown, self.matching.value = view.nodes, ""
        if self.state.nodes == view.nodes:  # else somebody chose meanwhile
            self._listed.show(view.nodes)
        self.pins.value = markup.pins(view.snapshot, self.problem)
        self.in_force.value = markup.in_force(view.snapshot, self.problem)


def _parts(given: str) -> list[str]:
    return [part.strip() for part in given.split(",") if part.strip()]


def box(given: str, names: ObjectiveNames) -> dict[str, tuple[float | None, float | None]]:
    """``"accuracy 0.9 to 1, model_mb <= 2"`` as keywords of ``Study.aspire``.

    Raises:
        ArgumentError: on what cannot be read so.
    """
    found: dict[str, tuple[float | None, float | None]] = {}
    for part in _parts(given):
        sign = next((one for one in ("<=", ">=") if one in part), None)
        try:
            if sign:
                name, _, end = part.partition(sign)
                found[name.strip()] = (None, float(end)) if sign == "<=" else (float(end), None)
            else:
                rest, _, last = part.rpartition(" to ")
                name, _, first = rest.strip().rpartition(" ")
                found[name.strip()] = (float(first), float(last))
        except ValueError as error:
            raise ArgumentError(
                f"{part!r} cannot be read", f"write {names.box_example!r} or {names.example!r}"
            ) from error
    return found
