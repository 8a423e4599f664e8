"""The panel of the network, a node for every bit-width."""

from __future__ import annotations

import ipywidgets as w
import numpy as np

from nemo_lab import plots
from nemo_lab.plots import info as infos
from nemo_lab.plots.graph import DRAG
from nemo_lab.plots.graph_columns import SIZES
from nemo_lab.plots.graph_layout import (
    Block,
    Part,
    Stage,
    folded_at_first,
    graph_layout,
    nodes_of,
    parts_with,
)
from nemo_lab.widgets import markup
from nemo_lab.widgets.elements.control import Control
from nemo_lab.widgets.elements.figure import Figure
from nemo_lab.widgets.elements.looks import alike
from nemo_lab.widgets.panels.base import Panel, field, row, title
from nemo_lab.widgets.panels.network_colouring import BITS, NetworkColouring
from nemo_lab.widgets.view.records import View
from nemo_lab.widgets.view.state import ViewState
from nemo_lab.workload.matching import fitting

LISTED = 3  # selected nodes that are named
GESTURES = "click or drag a box to select, click a heading to collapse its block, Ctrl + wheel to zoom"


class NetworkPanel(Panel):
    """The network in execution order; nodes are selected by click, box, name, glob and kind."""

    def __init__(self, state: ViewState) -> None:
        super().__init__(state)
        problem = state.problem
        self.info = infos.graph_info(problem)
        self._folded = folded_at_first(self.info)
        self._colouring = NetworkColouring(state, self.in_background)
        self.figure = Figure(
            lambda one: one.redraw(plots.graph_plot, len(self.info.names), bool(self.info.stages)),
            selectable={"nodes": True, "folded": False, "blocks": False, "stages": False},
            on_select=self._tapped,
            on_box=self._boxed,
        )
        self.figure.observe(lambda _: state.redraw(), names=["ranges", "pixels"])  # what has room is numbered
        self.figure.drag = next(iter(DRAG))
        self.figures = (self.figure,)
        self.legend = alike(w.HTML)
        self.chosen = alike(w.HTML)
        self._compose(
            [
                title(f"Network: {len(problem.node_names)} bit-widths"),
                row(*self._view_controls()),
                self.legend,
                self.figure,
                row(*self._selection_controls()),
                self.chosen,
            ]
        )
        self._arrange()

    def _view_controls(self) -> list[w.Widget]:
        """What colour and size stand for, and which part of the network is seen."""
        self.color = field(w.Dropdown, "Colour", 170, 48, options=self._colouring.names)
        self.size = field(w.Dropdown, "Size", 210, 32, options=list(SIZES))
        self.drag = field(w.Dropdown, "Drag", 150, 36, options=[(label, key) for key, label in DRAG.items()])
        self.drag.observe(self._drag, names="value")
        self._color = Control(self.color, self._colouring.choose)
        self.size.observe(lambda _: self.state.redraw(), names="value")
        buttons = [
            self.button("Zoom in", "Show half as much", lambda: self._move(0.25, 0.75)),
            self.button("Zoom out", "Show twice as much", lambda: self._move(-0.5, 1.5)),
            self.button("Left", "Move towards the input", lambda: self._move(-0.5, 0.5)),
            self.button("Right", "Move towards the output", lambda: self._move(0.5, 1.5)),
            self.button("Fit", "Show the whole network", lambda: self._show_part(-np.inf, np.inf)),
            self.button("Show selected", "Move to the selected nodes", self._show_selected),
        ]
        return [self.color, self.size, self.drag, *buttons]

    def _selection_controls(self) -> list[w.Widget]:
        """Selection by name and kind, and folding: the same as click and box by keyboard."""
        self.find = field(w.Text, "Find", 220, 32, placeholder="part of a name, or a glob")
        self.find.observe(lambda _: self.state.redraw(), names="value")
        self.find.on_msg(self._submitted)
        self.kind = field(w.Dropdown, "Kind", 200, 36, options=list(self.study.kinds))
        parts: list[tuple[str, Part]] = [
            *((f"{label} (stage)", Stage(place)) for place, (label, _, _) in enumerate(self.info.stages)),
            *((label, Block(place)) for place, (label, _, _) in enumerate(self.info.groups)),
        ]
        self.block = field(w.Dropdown, "Block", 200, 40, options=parts)
        return [
            self.find,
            self.button("Select matches", "Select every node whose name matches", self._find),
            self.kind,
            self.button(
                "Select kind",
                "Select every node of this kind",
                lambda: self.state.select_nodes(self.study.positions(kind=str(self.kind.value))),
            ),
            self.block,
            self.button(
                "Expand / collapse", "Expand or collapse this block", lambda: self.toggle(self.block.value)
            ),
            self.button("Select block", "Select every node of this block", self._select_block),
            self.button("Collapse all", "Collapse every block", lambda: self._fold(self._blocks())),
            *self._fold_stages(),
            self.button("Expand all", "Expand every block", lambda: self._fold(frozenset())),
            self.button("Clear selection", "Deselect every node", lambda: self.state.select_nodes(())),
        ]

    def _fold_stages(self) -> list[w.Widget]:
        stages: frozenset[Part] = frozenset(map(Stage, range(len(self.info.stages))))
        if not stages:
            return []
        return [
            self.button("Collapse stages", "Collapse every stage", lambda: self._fold(self._folded | stages))
        ]

    def _blocks(self) -> frozenset[Part]:
        return frozenset(map(Block, range(len(self.info.groups))))

    def _drag(self, change: dict[str, str]) -> None:
        self.figure.drag = change["new"]

    def _tapped(self, name: str, keys: list[int]) -> None:
        if name == "nodes":
            self.state.select_nodes(tuple(keys))
        elif keys:
            part = Stage(keys[-1]) if name == "stages" else Block(keys[-1])
            self.do(lambda: self.toggle(part))

    def _boxed(self, _: str, box: tuple[float, ...]) -> None:
        """Folded blocks in a box are selected, too; BokehJS has reported the open nodes before."""
        layout, (x0, x1, y0, y1) = self._layout, box
        inside = layout.folded[layout.block] & (x0 <= layout.x) & (layout.x <= x1)
        inside &= (y0 <= layout.y) & (layout.y <= y1)
        if inside.any():
            self.state.select_nodes(tuple({*self.state.nodes, *np.flatnonzero(inside).tolist()}))

    def _submitted(self, _: object, content: object, __: object) -> None:
        if isinstance(content, dict) and content.get("event") == "submit":  # the Enter key
            self.do(self._find)

    def _found(self) -> list[int]:
        """Nodes that have what is typed in their name, in any case, else those that it fits as a glob.

        A search while people type, and so by parts of names, which select nothing anywhere else.
        """
        wanted, names = self.find.value.strip().lower(), [name.lower() for name in self.info.names]
        if not wanted:
            return []
        having = [node for node, name in enumerate(names) if wanted in name]
        fit = set() if having else set(fitting(names, wanted))
        return having or [node for node, name in enumerate(names) if name in fit]

    def _find(self) -> None:
        wanted, found = self.find.value.strip(), self._found()
        if not found:
            raise ValueError(f"no node's name contains {wanted!r}" if wanted else "type a part of a name")
        self._fold(self._folded - parts_with(found, self.info))
        self.state.select_nodes(tuple(found))

    def _select_block(self) -> None:
        self.state.select_nodes(tuple(nodes_of(self.block.value, self.info)))

    def toggle(self, part: Part) -> None:
        """Expand or collapse a block or a stage; a block in a collapsed stage expands the stage."""
        around = parts_with(nodes_of(part, self.info), self.info) & self._folded
        stages = {one for one in around if isinstance(one, Stage)}
        self._fold(self._folded - stages if stages else self._folded ^ {part})

    def _fold(self, parts: frozenset[Part]) -> None:
        """Collapse these parts and no others; the middle of what was seen stays in sight."""
        low, high = self.figure.ranges["network"]
        span, before = high - low, self._layout
        self._folded = parts
        self._arrange()
        if span < before.width:
            middle = int(np.abs(before.x - (low + high) / 2).argmin())
            at = float(self._layout.x[middle])
            self._show_part(at - span / 2, at + span / 2)
        self.state.redraw()

    def _arrange(self) -> None:
        self._layout = graph_layout(self.info, self._folded)
        self._show_part(-np.inf, np.inf)

    def _show_selected(self) -> None:
        nodes = list(self.state.nodes)
        if not nodes:
            raise ValueError("no node is selected")
        places = self._layout.x[nodes]
        self._show_part(float(places.min()) - 2, float(places.max()) + 2)

    def _move(self, start: float, end: float) -> None:
        """Show what lies between two parts of what is shown."""
        low, high = self.figure.ranges["network"]
        self._show_part(low + start * (high - low), low + end * (high - low))

    def _show_part(self, start: float, end: float) -> None:
        whole = (-1.0, self._layout.width)
        if end - start >= whole[1] - whole[0]:
            start, end = whole
        span = max(end - start, 4.0)
        start = min(max(start, whole[0]), whole[1] - span) if span < whole[1] - whole[0] else whole[0]
        self.figure.ranges = {"network": [start, min(start + span, whole[1])]}

    def show(self, view: View) -> None:
        """See ``Panel``."""
        widths, pins, size = self.problem.bit_widths, view.snapshot.pins, str(self.size.value)
        measured = self._colouring.values(view.shown)
        low, high = self.figure.ranges["network"]
        found = self._found()
        columns = plots.graph_columns(
            self.info, view.shown, widths, pins, self._layout, measured=measured,
            known=self._colouring.known(view.shown), size=size, selected=view.nodes, found=found,
            seen=(low, high), pixels=self.figure.pixels,
        )  # fmt: skip
        self.figure.show(columns, {"nodes": view.nodes})
        if self._colouring.failed:
            self._colouring.failed = False
            self._color.show(BITS)
        if self._colouring.chosen == BITS:
            self.legend.value = markup.width_legend(widths, GESTURES)
        else:
            self.legend.value = self._colouring.legend(measured)
        fits = f"{len(found)} matches" if self.find.value.strip() else ""
        self.chosen.value = markup.selected_nodes(self.info.names, view.nodes, LISTED, fits)
