"""A configuration made by hand: widths of nodes changed from the selected one, costs at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import ipywidgets as w
import numpy as np

from nemo_lab.choices import Bits, Ladder, check_choices
from nemo_lab.widgets.panels.base import Panel, field, row
from nemo_lab.widgets.view.records import Draft, View
from nemo_lab.widgets.view.state import ViewState


class DraftControls:
    """The row of the inspector that changes bit-widths of the selected nodes.

    Args:
        panel: under which notices are shown.
    """

    def __init__(self, panel: Panel) -> None:
        self._panel, self._state = panel, panel.state
        widths = self._state.problem.bit_widths
        self.width = field(w.Dropdown, "Change to", 150, 70, options=list(widths), value=widths[-1])
        self.set = self._button("Set", "Set the selected nodes to this bit-width, in a draft", self._set)
        self.less = self._button(
            "- 1", "Lower the selected nodes by one bit-width, in a draft", lambda: self._step(-1)
        )
        self.more = self._button(
            "+ 1", "Raise the selected nodes by one bit-width, in a draft", lambda: self._step(1)
        )
        self.evaluate = self._button("Evaluate", "Measure the draft now, outside the run", self._evaluate)
        self.add = self._button("Add to run", "Evaluate the draft next, as part of the run", self._add)
        self.discard = self._button("Discard", "Delete the draft", self._discard)
        self.rows = [row(self.width, self.set, self.less, self.more, self.evaluate, self.add, self.discard)]

    def show(self, view: View) -> None:
        """Offer what there is to do."""
        draft = view.draft
        self.add.disabled = self.discard.disabled = draft is None
        self.evaluate.disabled = draft is None or draft.pending or draft.objectives is not None

    def _button(self, label: str, tooltip: str, action: Callable[[], None]) -> w.Button:
        """A button that acts at once: on what is shown when it is pressed, not on a later selection."""
        return self._panel.press(label, tooltip, lambda: self._panel.now(action))

    def _edit(self, change: Callable[[Bits], Bits]) -> None:
        state = self._state
        if not state.nodes:
            raise ValueError("no node is selected; select some in the network, the strip or the list")
        config = state.chosen()
        draft = state.draft
        bits = state.study.snapshot.evaluations.bits[config] if draft is None else draft.bits
        changed, nodes = np.array(bits, dtype=np.uint8), list(state.nodes)
        changed[nodes] = change(changed)[nodes]
        check_choices(changed[None], state.problem)
        if draft is None or not np.array_equal(changed, bits):  # what was measured of it holds still
            state.edit(Draft(config, changed))

    def _set(self) -> None:
        width = int(self.width.value)
        self._edit(lambda bits: np.full_like(bits, width))

    def _step(self, by: int) -> None:
        ladder = Ladder(self._state.problem)
        self._edit(lambda bits: ladder.bits(ladder.levels(bits) + by))

    def _made(self) -> Draft:
        draft = self._state.draft
        if draft is None:
            raise ValueError("there is no draft; select nodes and change their bit-widths first")
        return draft

    def _evaluate(self) -> None:
        draft = dataclasses.replace(self._made(), pending=True)
        self._state.edit(draft)
        self._panel.in_background(lambda: _measure(self._state, draft))

    def _add(self) -> None:
        draft = self._made()

        def add() -> None:
            self._state.study.enqueue(draft.bits)
            self._state.replace(draft, None)

        self._panel.do(add)

    def _discard(self) -> None:
        self._state.replace(self._made(), None)


def _measure(state: ViewState, draft: Draft) -> None:
    after = dataclasses.replace(draft, pending=False)
    try:
        objectives = tuple(float(value) for value in state.study.what_if(draft.bits))
        after = dataclasses.replace(after, objectives=objectives)
    finally:
        state.replace(draft, after)
