"""A configuration made by hand: widths of nodes changed from the selected one, costs at once."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as w
import numpy as np

from nemo_lab.widgets.hub import Draft, Hub, View
from nemo_lab.widgets.panel import Panel, field, row


class DraftControls:
    """The row of the inspector that changes bit-widths of the selected nodes.

    Args:
        panel: under which mistakes are told.
    """

    def __init__(self, panel: Panel) -> None:
        self._panel, self._hub = panel, panel.hub
        hub, widths = self._hub, self._hub.problem.bit_widths
        self.width = field(w.Dropdown, "Change to", 150, 70, options=list(widths), value=widths[-1])
        make = panel.button
        self.set = make(
            "Set",
            "Give the selected nodes this bit-width in a draft",
            lambda: self._edit(lambda _: self.width.value),
        )
        self.less = make("- 1", "A bit-width less for the selected nodes, in a draft", lambda: self._step(-1))
        self.more = make("+ 1", "A bit-width more for the selected nodes, in a draft", lambda: self._step(1))
        self.evaluate = make(
            "Evaluate",
            "Measure the draft beside the search; it is no part of the run",
            lambda: panel.aside(lambda: _measure(hub)),
        )
        self.add = make("Add to the run", "Let the run evaluate the draft next", self._add)
        self.discard = make("Discard", "Forget the draft", lambda: hub.edit(None))
        self.rows = [row(self.width, self.set, self.less, self.more, self.evaluate, self.add, self.discard)]

    def show(self, view: View) -> None:
        """Offer what there is to do."""
        for one in (self.evaluate, self.add, self.discard):
            one.disabled = view.draft is None

    def _edit(self, change: Callable[[int], int]) -> None:
        hub = self._hub
        if not hub.nodes:
            raise ValueError("no node is selected; select some in the graph, in the strip or in the list")
        draft = hub.draft
        bits = hub.study.config(hub.chosen()).to_numpy() if draft is None else draft.bits
        bits = np.array(bits, dtype=np.uint8)
        for node in hub.nodes:
            bits[node] = change(int(bits[node]))
        hub.edit(Draft(bits))

    def _step(self, by: int) -> None:
        widths = tuple(self._hub.problem.bit_widths)
        self._edit(lambda width: widths[min(max(widths.index(width) + by, 0), len(widths) - 1)])

    def _add(self) -> None:
        draft = self._hub.draft
        if draft is not None:
            self._hub.study.enqueue(draft.bits)
            self._hub.edit(None)


def _measure(hub: Hub) -> None:
    draft = hub.draft
    if draft is not None:
        objectives = tuple(float(value) for value in hub.study.what_if(draft.bits))
        if hub.draft is draft:  # not changed meanwhile
            hub.edit(Draft(draft.bits, objectives))
