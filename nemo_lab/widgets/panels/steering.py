"""The panel that steers: pins and wishes."""

from __future__ import annotations

import threading
from typing import Any

import ipywidgets as w

from nemo_lab.errors import ArgumentError
from nemo_lab.study.parsing.objectives import ObjectiveNames
from nemo_lab.widgets import markup
from nemo_lab.widgets.panels.base import Panel, field, row, title
from nemo_lab.widgets.view_state import Hub, View


class SteeringPanel(Panel):
    """Pins of nodes that are selected or named, constraints, and the aspiration box."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        study, problem = hub.study, hub.problem
        names, widths = list(problem.node_names), problem.bit_widths
        self._names = names
        self._shown: tuple[int, ...] = ()
        self.nodes = field(w.SelectMultiple, "Nodes", 380, 64, options=names, rows=8)
        self._drawing: int | None = None  # the thread that draws, while it does
        self.nodes.observe(self._listed, names="index")
        self.matching = field(w.Text, "matching", 380, 64, placeholder="or a glob such as *.weight")
        self.width = field(w.Dropdown, "to bits", 140, 64, options=list(widths), value=widths[-1])
        most = [("same", 0), *((str(width), width) for width in widths)]
        self.most = field(w.Dropdown, "up to", 110, 36, options=most)
        self.pin = self.button("Pin", "Fix the nodes that match, or are selected", self._pin, "primary")
        self.unpin = self.button(
            "Unpin",
            "Free the nodes that match, or are selected",
            lambda: study.unpin(self._chosen()),
        )
        self.unpin_all = self.button("Unpin all", "Free every node", study.unpin)
        self.pins = w.HTML()
        self._make_wishes()
        buttons = [self.width, self.most, self.pin, self.unpin, self.unpin_all]
        self._compose(
            [
                title("Steer"),
                self.nodes,
                self.matching,
                row(*buttons),
                self.pins,
                row(self.constraints, self.constrain),
                row(self.aspiration, self.aspire),
                self.wishes,
            ],
            flex="1 1 400px",
            min_width="0",
        )

    def _make_wishes(self) -> None:
        study = self.study
        names = ObjectiveNames(study.problem)
        self.constraints = field(
            w.Text,
            "Keep to",
            300,
            76,
            placeholder=f"{names.example}, ...",
            tooltip="Constraints that every good configuration keeps, separated by commas; empty for none",
        )
        self.aspiration = field(
            w.Text,
            "Look within",
            300,
            76,
            placeholder=f"{names.box_example}, ...",
            tooltip="A box of objectives to concentrate on, separated by commas; empty for everything",
        )
        self.constrain = self.button(
            "Constrain",
            "Ask for this of every good configuration, in place of what was asked before",
            lambda: study.constrain(*_parts(self.constraints.value)),
        )
        self.aspire = self.button(
            "Aspire",
            "Concentrate the search on this box, in place of the one before",
            lambda: study.aspire(**box(self.aspiration.value, names)),
        )
        self.wishes = w.HTML()

    def _listed(self, change: Any) -> None:
        """Somebody chose in the list, unless it was brought to what was chosen elsewhere."""
        if threading.get_ident() != self._drawing:
            self.hub.select_nodes(tuple(change["new"]))

    def _chosen(self) -> str | list[str]:
        picked = self.matching.value.strip() or [self._names[node] for node in self.hub.nodes]
        if not picked:
            raise ValueError("no node is selected; select some in the graph or in the list, or type a glob")
        return picked

    def _pin(self) -> None:
        width, most = int(self.width.value), self.most.value
        self.study.pin(self._chosen(), width if not most else (width, int(most)))

    def show(self, view: View) -> None:
        """See ``Panel``."""
        if view.nodes != self._shown:  # a newer choice than the glob
            self._shown, self.matching.value = view.nodes, ""
        if self.hub.nodes == view.nodes != tuple(self.nodes.index):  # else somebody chose meanwhile
            self._drawing = threading.get_ident()
            self.nodes.index = view.nodes
            self._drawing = None
        self.pins.value = markup.pins(view.snapshot, self.problem)
        self.wishes.value = markup.wishes(view.snapshot, self.problem)


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
